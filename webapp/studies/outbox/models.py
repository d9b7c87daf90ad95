"""Deliveries and their states."""

import uuid
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

#: The kind of deliveries that a user is waiting for. They are delivered before all others.
AWAITED = "dicom.search"


class State(models.TextChoices):
    """The state of a delivery. It changes only by compare-and-set; see :mod:`webapp.studies.outbox.services`."""

    WAITING = "waiting", _("Waiting")
    SENDING = "sending", _("Sending")
    DELIVERED = "delivered", _("Delivered")
    DEAD = "dead", _("Dead")


class Silence(models.Model):
    """A receiver that does not answer. Nothing is sent to it before ``until``."""

    destination = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveSmallIntegerField(default=0, help_text="attempts without an answer, one after the other")
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.destination} until {self.until:%Y-%m-%d %H:%M:%S}"


class Delivery(models.Model):
    """One message to deliver at least once. The payload has only ids; the message is built when it is sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=200, unique=True, help_text="the same event is written once under its key")
    kind = models.CharField(max_length=40, help_text="which code delivers it")
    destination = models.CharField(max_length=64, blank=True, help_text="the receiver's id, if it has one")
    subject = models.UUIDField(null=True, blank=True, help_text="the image or study that it is about")
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="when it is due; while it is being sent, when its claim ends")
    expires_at = models.DateTimeField(help_text="after this time a failed attempt is the last one")
    claim = models.UUIDField(null=True, blank=True)
    claimed_by = models.CharField(max_length=255, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    attempt_log = models.JSONField(
        null=True, blank=True, help_text="its attempts, the oldest first: when each began, its outcome, and its seconds"
    )
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            # Finds due deliveries among many delivered ones.
            models.Index(fields=["state", "next_attempt_at"]),
            # For a receiver's deliveries, latest first.
            models.Index(fields=["destination", "-created_at", "-id"], name="outbox_of_destination"),
            # For the deletion of an image or a study.
            models.Index(fields=["subject"], name="outbox_of_subject"),
            # For the purge.
            models.Index(fields=["state", "delivered_at"]),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def attempts_made(self) -> list[dict[str, Any]]:
        """The attempts that have ended, oldest first, each with ``at``, ``outcome`` and ``seconds``."""
        return [{**attempt, "at": datetime.fromisoformat(attempt["at"])} for attempt in self.attempt_log or ()]
