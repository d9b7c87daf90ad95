"""Webhooks' secrets, which the database and its backups only hold encrypted: signing needs the secret itself."""

import base64
import secrets

from webapp import sealing
from webapp.sealing import UnreadableSecretError

__all__ = ["PREFIX", "UnreadableSecretError", "new_secret", "seal", "unseal"]
PREFIX = "whsec_"
_PURPOSE = "webhooks"


def new_secret() -> str:
    """A random secret in the form that Standard Webhooks prescribe."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def seal(secret: str) -> str:
    return sealing.seal(secret, _PURPOSE)


def unseal(sealed: str) -> str:
    """The secret.

    Raises:
        UnreadableSecretError: none of the keys fits.
    """
    return sealing.unseal(sealed, _PURPOSE)
