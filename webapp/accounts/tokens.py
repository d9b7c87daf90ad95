"""Issue, find and remove API tokens."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.accounts.models import RevokedGuest, Token
from webapp.audit.models import Action
from webapp.audit.services import record, record_each


def issue(user: User, name: str = "", days: int | None = None, *, address: str = "") -> str:
    """Create a token for a user.

    Args:
        name: what the token is for.
        days: how long it is valid; ``API_TOKEN_DAYS`` is the maximum and the default.
        address: the client's address, for the audit.

    Returns:
        The token itself, which cannot be retrieved later.
    """
    key = secrets.token_urlsafe(32)
    most = settings.API_TOKEN_DAYS
    expires_at = timezone.now() + timedelta(days=min(days or most, most))
    with transaction.atomic():
        token = Token.objects.create(digest=digest(key), user=user, name=name, expires_at=expires_at)
        record(Identity(user=user, address=address), Action.TOKEN_ISSUE, token)
    return key


@transaction.atomic
def revoke(by: Identity, found: "QuerySet[Token]") -> int:
    """Delete tokens.

    Returns:
        The number of deleted tokens.
    """
    revoked = list(found)
    record_each(by, Action.TOKEN_REVOKE, revoked)
    Token.objects.filter(pk__in=[token.pk for token in revoked]).delete()
    return len(revoked)


def find(key: str) -> Token | None:
    """The token with this key and its user; None if there is none or it has expired."""
    token = Token.objects.select_related("user").filter(digest=digest(key)).first()
    return token if token and token.expires_at > timezone.now() else None


def user_tokens(user: User) -> "QuerySet[Token]":
    """A user's valid tokens, newest first."""
    return user.api_tokens.filter(expires_at__gt=timezone.now()).order_by("-created_at", "-pk")


def note_use(token: Token) -> None:
    """Store the day on which a token was last used. This takes one write per day instead of one per request."""
    today = timezone.now().date()
    if token.last_used_on != today:
        Token.objects.filter(pk=token.pk).update(last_used_on=today)


def digest(key: str) -> str:
    """The stored hash of a key. Keys are random and long, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def delete_expired() -> int:
    """Delete expired tokens, and revocations of guests whose tokens have expired.

    Returns:
        The number of deleted rows.
    """
    now = timezone.now()
    tokens, _ = Token.objects.filter(expires_at__lt=now).delete()
    expired = RevokedGuest.objects.filter(revoked_at__lt=now - timedelta(days=settings.GUEST_TOKEN_DAYS))
    return tokens + expired.delete()[0]
