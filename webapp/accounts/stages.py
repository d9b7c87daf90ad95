"""The sign-in stage that requires a verified e-mail address."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage


class VerifyFirst(EmailVerificationStage):
    """Requires a user to verify their e-mail address before they sign in for the first time.

    A user who has signed in before may still sign in, even if the address is new, or was never verified because the
    service sent no mail then. So may a user whom an administrator created without an address.
    """

    def handle(self) -> Any:
        user = self.login.user
        if user is not None and not must_verify(user):
            return None, True
        return super().handle()


def must_verify(user: Any) -> bool:
    """Whether a user has to verify an e-mail address before they sign in, if the service sends mail."""
    addresses = EmailAddress.objects.filter(user=user)
    return user.last_login is None and addresses.exists() and not addresses.filter(verified=True).exists()
