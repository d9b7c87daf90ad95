"""Encrypt secrets in the database and its backups.

A secret that the service needs in plain text, such as that of an authenticator app, cannot be hashed. The keys are
derived from ``SECRET_KEY``. While it is being replaced, secrets that were sealed before can be read with
``SECRET_KEY_FALLBACKS``.
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
        purpose: what the secret is for. A secret sealed for one purpose cannot be unsealed for another.
    """
    return _fernet(purpose).encrypt(secret.encode()).decode()


def unseal(sealed: str, purpose: str) -> str:
    """Decrypt a secret.

    Raises:
        UnreadableSecretError: none of the keys can decrypt it.
    """
    try:
        return _fernet(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise UnreadableSecretError from None


def _fernet(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = (hashlib.sha256(f"pneumoqueue.{purpose}:{key}".encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
