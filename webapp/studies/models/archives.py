"""ZIPs that are unpacked into images."""

import uuid

from django.conf import settings
from django.db import models

from webapp.studies.models.studies import Study
from webapp.studies.querysets import (
    ArchiveQuerySet,
)


class RequestIdMixin(models.Model):
    """Stores the id of the request that created the row, for the logs."""

    # A database default, because web processes of the previous release keep writing rows during an upgrade.
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)

    class Meta:
        abstract = True


class Archive(RequestIdMixin):
    """A ZIP that is to be unpacked into images.

    It is unpacked in chunks. The run that unpacks a chunk claims the ZIP, so that no two runs unpack it at once, and
    releases the claim in the transaction that writes the chunk's images.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        UNPACKING = "unpacking"
        UNPACKED = "unpacked"
        FAILED = "failed"

    #: States of ZIPs that still have files to unpack.
    PENDING = (State.QUEUED, State.UNPACKING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="archives")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255, blank=True, help_text="empty once it has been unpacked and deleted")
    total = models.PositiveIntegerField(help_text="files in it that will become images")
    # Columns that a release adds have a database default; see RequestIdMixin.
    size = models.PositiveBigIntegerField(default=0, db_default=0, help_text="bytes of these files, unpacked")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    unpacked = models.PositiveIntegerField(default=0, db_default=0, help_text="files of it that have become images")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="runs that died since the last finished chunk")
    claim = models.UUIDField(null=True, blank=True, help_text="the run that is unpacking it")
    claimed_at = models.DateTimeField(null=True, blank=True)
    missed = models.PositiveIntegerField(default=0, db_default=0, help_text="reconciliations since that")
    claimed_by = models.CharField(max_length=255, blank=True, default="", db_default="", help_text="that run's worker")
    particulars = models.JSONField(
        null=True, blank=True, help_text="descriptions of its images, by their place in it, until it is unpacked"
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    turn = models.FloatField(null=True, blank=True, help_text="its place among those to unpack, the smallest first")
    dispatched_at = models.DateTimeField(help_text="when its latest message was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="messages sent for the next chunk")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ArchiveQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "dispatched_at"]),
            # For the few unpacked ZIPs that are still in the storage.
            models.Index(fields=["state", "file"]),
        ]

    def __str__(self) -> str:
        return self.filename
