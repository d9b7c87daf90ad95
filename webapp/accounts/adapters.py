"""django-allauth adapters: who may register, checks of registrations, and encryption of secrets."""

import logging
from contextlib import suppress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from webapp import sealing
from webapp.accounts import invitations
from webapp.accounts.identity import client_address
from webapp.refusals import Refused

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        if settings.REGISTRATION == "invite":
            return invitations.pending(request) is not None
        return bool(settings.REGISTRATION == "open")

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        """Create the user and accept the invitation that this session has opened."""
        with transaction.atomic():
            saved = super().save_user(request, user, form, commit)
            if settings.REGISTRATION == "invite" or invitations.pending(request):
                invitations.accept_pending(request, saved)
        return saved

    def clean_email(self, email: str) -> str:
        """Refuse an address that is too long: django-allauth would truncate it and could not verify it."""
        cleaned: str = super().clean_email(email)
        EmailAddress._meta.get_field("email").run_validators(cleaned)
        return cleaned

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:  # the base class of smtplib's errors
            logger.error("a mail could not be sent: %s", type(error).__name__)
            raise Refused(
                "mail_unavailable",
                "The mail could not be sent. Please check the address, and try again in a few minutes.",
            ) from None

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Tell the user about a change by mail. The change is kept even if the mail cannot be sent."""
        with suppress(Refused):
            super().send_notification_mail(*args, **kwargs)

    def get_login_stages(self) -> list[str]:
        own = {"allauth.account.stages.EmailVerificationStage": "webapp.accounts.stages.VerifyFirst"}
        return [own.get(stage, stage) for stage in super().get_login_stages()]

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Delete the guest's cookie: the guest's uploads belong to the user now."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        response.delete_cookie(settings.GUEST_COOKIE, samesite="Lax")
        return response

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request) or "::"  # a Unix socket has no client address


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """People who sign in through the hospital's own provider need no invitation."""
        return bool(settings.REGISTRATION != "closed")


class MFAAdapter(DefaultMFAAdapter):
    """Encrypts the secrets of authenticator apps and recovery codes."""

    def encrypt(self, text: str) -> str:
        return sealing.seal(text, "second factor")

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return sealing.unseal(encrypted_text, "second factor")
        except sealing.UnreadableSecretError:
            raise Refused(
                "second_factor_unreadable",
                "The service's SECRET_KEY has changed since the authenticator app was set up. An administrator can "
                "remove the app, so that you can set it up again.",
            ) from None
