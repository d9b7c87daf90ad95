"""Signing in and out, for the audit. All ways to sign in send Django's signals."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from webapp.accounts.identity import Identity, client_address
from webapp.audit.models import Action
from webapp.audit.services import record

if TYPE_CHECKING:
    from django.http import HttpRequest


@receiver(user_logged_in)
def signed_in(request: "HttpRequest | None", user: User, **_: Any) -> None:
    record(_identity(request, user), Action.SIGN_IN, user)


@receiver(user_logged_out)
def signed_out(request: "HttpRequest | None", user: User | None, **_: Any) -> None:
    if user is not None:
        record(_identity(request, user), Action.SIGN_OUT, user)


@receiver(user_login_failed)
def sign_in_failed(credentials: dict[str, Any], request: "HttpRequest | None" = None, **_: Any) -> None:
    """Of what was typed only the name of a user who exists is kept: it could be anything, as a password in the wrong
    field.
    """
    user = User.objects.filter(username=credentials.get("username") or "").first()
    record(_identity(request, None), Action.SIGN_IN_FAILED, user)


def _identity(request: "HttpRequest | None", user: User | None) -> Identity:
    return Identity(user=user, address=client_address(request) if request else "")
