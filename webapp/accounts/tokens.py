"""API tokens: issue, find, and remove them."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from webapp.accounts.models import RevokedGuest, Token


def issue(user: User, name: str = "") -> str:
    """Make a token for a user.

    Returns:
        The token itself, which cannot be had again.
    """
    key = secrets.token_urlsafe(32)
    expires_at = timezone.now() + timedelta(days=settings.API_TOKEN_DAYS)
    Token.objects.create(digest=digest(key), user=user, name=name, expires_at=expires_at)
    return key


def find(key: str) -> Token | None:
    """The token behind a key, with its user, unless it has expired."""
    valid = Token.objects.filter(expires_at__gt=timezone.now())
    return valid.select_related("user").filter(digest=digest(key)).first()


def digest(key: str) -> str:
    """What is kept of a key. It is random and long, so that a fast hash will do."""
    return hashlib.sha256(key.encode()).hexdigest()


def delete_expired() -> int:
    """Remove tokens that have expired, and revocations of guests whose tokens have.

    Returns:
        How many rows were removed.
    """
    now = timezone.now()
    tokens, _ = Token.objects.filter(expires_at__lt=now).delete()
    expired = RevokedGuest.objects.filter(revoked_at__lt=now - timedelta(days=settings.GUEST_TOKEN_DAYS))
    return tokens + expired.delete()[0]
