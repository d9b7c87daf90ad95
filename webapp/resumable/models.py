"""Files that are received in parts, one part per request."""

import uuid

from django.conf import settings
from django.db import models


class State(models.TextChoices):
    RECEIVING = "receiving"
    FINISHED = "finished"
    REFUSED = "refused"


class Upload(models.Model):
    """One upload. The bytes received so far are in a file of :mod:`webapp.resumable.files`, until it is complete and
    the image or study is created.

    Only its sender can continue it. A row is deleted with what was created from it, and at the latest a day after the
    last part. It is not backed up.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    # If the guest signs in meanwhile, both the guest and the user are set.
    guest = models.UUIDField(null=True, blank=True, editable=False)
    key = models.CharField(
        max_length=64, null=True, blank=True, unique=True, help_text="SHA-256 of its sender and Idempotency-Key"
    )
    length = models.BigIntegerField(help_text="bytes of the whole file")
    offset = models.BigIntegerField(default=0, help_text="bytes that have come and are on the disk")
    metadata = models.CharField(max_length=4096, blank=True, help_text="as the client sent it")
    given = models.JSONField(default=dict, help_text="what the metadata says of the file")
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVING)
    # No foreign keys: ``services.on_deletion`` deletes the uploads of a deleted image or study.
    image = models.UUIDField(null=True, blank=True, db_index=True, help_text="that was made of it")
    study = models.UUIDField(
        null=True, blank=True, db_index=True, help_text="that was made of it, or that it was added to"
    )
    report = models.JSONField(default=dict, help_text="of the files: skipped, refused, duplicates")
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.given.get("filename") or self.pk)
