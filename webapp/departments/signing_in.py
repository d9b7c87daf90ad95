"""Keep service accounts from signing in: they only use API tokens."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from webapp.departments import permissions
from webapp.refusals import Refused


def refuse_service_accounts(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Receiver of Django's ``user_logged_in``, for every way to sign in."""
    if not permissions.service_department(user):
        return
    if session := getattr(request, "session", None):
        session.flush()
    raise Refused("is_service_account", "This is a service account, which only uses API tokens and cannot sign in.")
