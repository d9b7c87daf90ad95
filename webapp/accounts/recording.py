"""Record sign-ins, failed attempts, sign-outs, registrations and changes of credentials in the audit."""

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.contrib.auth import SESSION_KEY, signals
from django.contrib.auth.models import User
from django.http import HttpRequest

from webapp.accounts.identity import Identity, client_address
from webapp.accounts.lockout import attempted_name
from webapp.audit.models import Action
from webapp.audit.services import record


def on_signed_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Record a sign-in that starts a session. A request for an API token starts none; issuing the token is recorded."""
    if request.session.get(SESSION_KEY) == str(user.pk):
        _record(Action.SIGN_IN, request=request, user=user)


def on_sign_in_failed(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Record a failed sign-in, unless the name is locked out already: there may be thousands of further attempts."""
    was_locked = getattr(request, "axes_locked_out", False) and getattr(request, "axes_failures_since_start", 0) is None
    if request is not None and not was_locked:
        user = User.objects.filter(username=attempted_name(request, credentials)).first()
        _record(Action.SIGN_IN_FAILED, request=request, user=user)


def on_signed_out(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _record(Action.SIGN_OUT, request=request, user=user)


def on_registered(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    _record(Action.REGISTER, request=request, user=user)


#: The recorded change for each of django-allauth's signals.
CHANGES = {
    account.password_changed: "password",
    account.password_set: "password_set",
    account.password_reset: "password_by_link",
    account.email_changed: "email",
    mfa.authenticator_added: "second_factor_added",
    mfa.authenticator_removed: "second_factor_removed",
    mfa.authenticator_reset: "recovery_codes",
    social.social_account_added: "single_sign_on_added",
    social.social_account_removed: "single_sign_on_removed",
}


def on_changed(sender: Any, signal: Any, request: HttpRequest, user: Any = None, **kwargs: Any) -> None:
    _record(Action.CREDENTIALS_CHANGE, request=request, user=user or request.user, what=CHANGES[signal])


def connect() -> None:
    signals.user_logged_in.connect(on_signed_in)
    signals.user_login_failed.connect(on_sign_in_failed)
    signals.user_logged_out.connect(on_signed_out)
    account.user_signed_up.connect(on_registered)
    for signal in CHANGES:
        signal.connect(on_changed)


def _record(action: Action, *, request: HttpRequest, user: Any, **details: str) -> None:
    record(Identity(user=user, address=client_address(request)), action, user, **details)
