"""Encryption of webhooks' secrets in the database and its backups. Signing needs the secret itself, not a hash."""

import base64
import secrets

from webapp import sealing
from webapp.sealing import UnreadableSecretError

__all__ = ["PREFIX", "UnreadableSecretError", "new_secret", "seal", "unseal"]
PREFIX = "whsec_"
_PURPOSE = "webhooks"


def new_secret() -> str:
    """A random secret in the format of Standard Webhooks."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def seal(secret: str) -> str:
    return sealing.seal(secret, _PURPOSE)


def unseal(sealed: str) -> str:
    """Decrypt a secret.

    Raises:
        UnreadableSecretError: none of the keys can decrypt it.
    """
    return sealing.unseal(sealed, _PURPOSE)
