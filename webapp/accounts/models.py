"""Credentials of programs and guests. Nothing here lets anyone in who reads it."""

from django.conf import settings
from django.db import models


class Token(models.Model):
    """An API token, of which only the hash is kept; see :mod:`webapp.accounts.tokens`."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="what it is for, in its owner's words")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name or f"token {self.pk}"


class RevokedGuest(models.Model):
    """A guest whose tokens are no longer valid. It is kept for as long as one of them could be."""

    guest = models.UUIDField(primary_key=True)
    revoked_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.guest)
