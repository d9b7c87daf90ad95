"""Webhooks' secrets, which the database and its backups only hold encrypted.

Signing needs the secret itself, so that a hash would not do. The key is derived from ``SECRET_KEY``; while that is
being replaced, ``SECRET_KEY_FALLBACKS`` still open what was sealed before.
"""

import base64
import hashlib
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

PREFIX = "whsec_"


class UnreadableSecretError(Exception):
    """A secret was sealed with a ``SECRET_KEY`` that this process does not know."""


def new_secret() -> str:
    """A random secret in the form that Standard Webhooks prescribe."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def seal(secret: str) -> str:
    return _fernet().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret.

    Raises:
        UnreadableSecretError: none of the keys fits.
    """
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise UnreadableSecretError from None


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = (hashlib.sha256(b"pneumoqueue.webhooks:" + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
