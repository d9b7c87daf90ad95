"""One-time links for setting a new password, used when no mail can be sent."""

from allauth.account import app_settings
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse


def reset_link(user: User) -> str:
    """A link that works once and expires like a mailed one, after ``PASSWORD_RESET_TIMEOUT`` (three days)."""
    key = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": key})
    return f"{settings.PUBLIC_URL}{path}"
