"""Credentials of programs and guests. Nobody gains access by reading these tables."""

from django.conf import settings
from django.db import models


class Token(models.Model):
    """An API token. Only its hash is stored; see :mod:`webapp.accounts.tokens`."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="what it is for, in its owner's words")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    last_used_on = models.DateField(null=True, blank=True, help_text="the day (UTC) on which it was last used")

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name or f"token {self.pk}"


class RevokedGuest(models.Model):
    """A guest whose tokens were revoked. The row is kept for as long as one of these tokens could be valid."""

    guest = models.UUIDField(primary_key=True)
    revoked_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.guest)


class Invitation(models.Model):
    """A link by which one person registers or joins something; see :mod:`webapp.accounts.invitations`."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    email = models.EmailField(blank=True, help_text="whom it was made for, if that is known")
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    # An id instead of a foreign key, because the departments app depends on this one.
    department_id = models.UUIDField(null=True, blank=True, db_index=True)
    role = models.CharField(max_length=10, blank=True, help_text="in that department")
    purpose = models.CharField(max_length=300, blank=True, help_text="what is joined, in words for the invited")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return self.email or f"invitation {self.pk}"
