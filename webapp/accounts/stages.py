"""A step of signing in."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage


class VerifyFirst(EmailVerificationStage):
    """An e-mail address is verified before its owner signs in for the first time.

    Who has signed in before is not kept out by an address that is new, or was never verified because the service had
    no mail then; nor is a user whom an administrator made without an address.
    """

    def handle(self) -> Any:
        user = self.login.user
        if user is not None and not must_verify(user):
            return None, True
        return super().handle()


def must_verify(user: Any) -> bool:
    """Whether a user has to verify an e-mail address before they sign in, where the service sends mail."""
    addresses = EmailAddress.objects.filter(user=user)
    return user.last_login is None and addresses.exists() and not addresses.filter(verified=True).exists()
