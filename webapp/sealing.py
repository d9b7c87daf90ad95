"""Secrets that the database and its backups only hold encrypted.

What has to be used itself, such as the secret of an authenticator app, cannot be hashed. The keys are derived from
``SECRET_KEY``; while that is being replaced, ``SECRET_KEY_FALLBACKS`` still open what was sealed before.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class UnreadableSecretError(Exception):
    """A secret was sealed with a ``SECRET_KEY`` that this process does not know."""


def seal(secret: str, purpose: str) -> str:
    """Encrypt a secret.

    Args:
        purpose: what it is for; what was sealed for one purpose is not opened for another.
    """
    return _fernet(purpose).encrypt(secret.encode()).decode()


def unseal(sealed: str, purpose: str) -> str:
    """The secret.

    Raises:
        UnreadableSecretError: none of the keys fits.
    """
    try:
        return _fernet(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise UnreadableSecretError from None


def _fernet(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = (hashlib.sha256(f"pneumoqueue.{purpose}:{key}".encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
