"""Webhooks and their owners."""

import uuid

from django.conf import settings
from django.db import models


class Event(models.TextChoices):
    """Events that a webhook can receive."""

    STUDY_FINISHED = "study.finished"


class Webhook(models.Model):
    """An address that receives events of its owner's studies."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Another kind of owner gets a column of its own beside this one; services.listening_to() decides who receives what.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="webhooks")
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list, help_text="which events it is told of")
    sealed_secret = models.CharField(max_length=255, editable=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_outcome = models.CharField(max_length=200, blank=True, editable=False)

    def __str__(self) -> str:
        return self.url
