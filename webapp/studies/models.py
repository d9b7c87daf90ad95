"""The domain. The database is the truth about every upload; the broker only carries ids."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.studies.choices import FINAL, Priority, ReadingState, ResultGroup, Status, group_bounds
from webapp.studies.ownership import Owned, Sent, once_for_each_owner
from webapp.studies.querysets import (
    ArchiveQuerySet,
    ImageQuerySet,
    PatientQuerySet,
    ReadingQuerySet,
    StudyQuerySet,
)


def lists_by(field: str, prefix: str) -> list[models.Index]:
    """The indexes of a list of all rows in pages, of its search, and of the daily purge of guests' rows.

    Args:
        field: whose beginning is searched; with PostgreSQL's operator class for that, which others ignore.
        prefix: of the indexes' names.
    """
    return [
        models.Index(fields=["-created_at", "-id"], name=f"{prefix}_list"),
        models.Index(fields=[field], opclasses=["varchar_pattern_ops"], name=f"{prefix}_search"),
        models.Index(fields=["created_at"], condition=models.Q(guest__isnull=False), name=f"{prefix}_guests"),
    ]


class Patient(Owned):
    """A patient as their department, or outside of departments the uploader, names them.

    The same identifier elsewhere is another patient.
    """

    identifier = models.CharField(max_length=128)

    objects = PatientQuerySet.as_manager()

    class Meta(Owned.Meta):
        constraints = [
            *Owned.Meta.constraints,
            *(
                models.UniqueConstraint(fields=[owner, "identifier"], name=f"patient_of_{owner}")
                for owner in ("owner", "guest", "department")
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at"]),
            models.Index(fields=["guest", "-created_at"]),
            models.Index(fields=["department", "-created_at"]),
            *lists_by("identifier", "studies_patient"),
        ]

    def __str__(self) -> str:
        return self.identifier


class Study(Sent):
    """Images that were sent together."""

    name = models.CharField(max_length=255, blank=True)
    study_uid = models.CharField(max_length=64, null=True, blank=True, help_text="DICOM's Study Instance UID")  # noqa: DJ001  (NULLs may repeat)
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, blank=True, related_name="studies")
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = StudyQuerySet.as_manager()

    class Meta(Sent.Meta):
        verbose_name_plural = "studies"
        constraints = [*Sent.Meta.constraints, *once_for_each_owner("study_uid")]
        indexes = [
            models.Index(fields=["owner", "-created_at"]),
            models.Index(fields=["guest", "-created_at"]),
            models.Index(fields=["department", "-created_at"]),
            models.Index(fields=["uploaded_by", "-created_at"]),
            *lists_by("name", "studies_study"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.pk)

    def get_absolute_url(self) -> str:
        return reverse("study", args=[self.pk])


class RequestIdMixin(models.Model):
    """Came with a request, whose id the log's lines tell."""

    # The database's own default, since web processes of the release before go on writing during an upgrade.
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)

    class Meta:
        abstract = True


class Archive(RequestIdMixin):
    """A ZIP on its way to becoming images.

    It is unpacked in chunks. A chunk claims the ZIP, so that no two runs unpack it at once, and gives it back in the
    transaction that writes the chunk's images.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        UNPACKING = "unpacking"
        UNPACKED = "unpacked"
        FAILED = "failed"

    #: States in which there is something left to unpack.
    PENDING = (State.QUEUED, State.UNPACKING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="archives")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255, blank=True, help_text="empty once it has been unpacked and deleted")
    total = models.PositiveIntegerField(help_text="files in it that will become images")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    # Columns that a release adds have the database's own default, see RequestIdMixin.
    unpacked = models.PositiveIntegerField(default=0, db_default=0, help_text="files of it that have become images")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="runs since the last finished chunk that ended without a word"
    )
    claim = models.UUIDField(null=True, blank=True, help_text="the run that is unpacking it")
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=255, blank=True, default="", db_default="", help_text="that run's worker")
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    dispatched_at = models.DateTimeField(help_text="when its latest message was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="messages sent for the next chunk")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ArchiveQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "dispatched_at"]),
            # Unpacked ZIPs that are still in the storage, which are few.
            models.Index(fields=["state", "file"]),
        ]

    def __str__(self) -> str:
        return self.filename


class Image(Sent, RequestIdMixin):
    """One uploaded image: what preparing it found, and where it stands.

    Its status is that of its primary reading as soon as it has one; both change in one transaction.
    """

    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="images")
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, blank=True, related_name="images")
    archive = models.ForeignKey(Archive, models.SET_NULL, null=True, blank=True, related_name="images")
    archive_index = models.PositiveIntegerField(null=True, blank=True)

    instance_uid = models.CharField(max_length=64, null=True, blank=True, help_text="DICOM's SOP Instance UID")  # noqa: DJ001  (NULLs may repeat)
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255, blank=True, help_text="empty where it was refused, or cancelled before")
    size = models.PositiveBigIntegerField(help_text="bytes")
    sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    preview = models.FileField(max_length=255, blank=True)

    priority = models.CharField(max_length=12, choices=Priority, default=Priority.INTERACTIVE)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="starts of its preparation that did not end")
    dispatched_at = models.DateTimeField(help_text="when the latest message to prepare it was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, help_text="messages sent to prepare it")

    ingest_started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)

    objects = ImageQuerySet.as_manager()

    class Meta(Sent.Meta):
        constraints = [
            *Sent.Meta.constraints,
            *once_for_each_owner("instance_uid"),
            models.UniqueConstraint(fields=["archive", "archive_index"], name="image_once_per_archive"),
        ]
        indexes = [
            models.Index(fields=["status", "dispatched_at"]),
            models.Index(fields=["study", "status"]),
            models.Index(fields=["owner", "-created_at"]),
            models.Index(fields=["guest", "-created_at"]),
            models.Index(fields=["department", "-created_at"]),
            models.Index(fields=["uploaded_by", "-created_at"]),
            # Whether the same file was sent before.
            models.Index(fields=["sha256"]),
            # Read for the figures of the last minutes and of the last hour.
            models.Index(fields=["status", "finished_at"]),
            # Those whose first message has not been sent yet, which are few at any time.
            models.Index(fields=["dispatched_at"], condition=models.Q(dispatches=0), name="image_never_sent"),
            # Lists in pages: of all images, of those with a status, and of a study.
            models.Index(fields=["status", "-created_at", "-id"], name="studies_image_status_list"),
            models.Index(fields=["study", "created_at", "id"], name="studies_image_study_list"),
            *lists_by("filename", "studies_image"),
        ]

    def __str__(self) -> str:
        return self.filename

    def get_absolute_url(self) -> str:
        return reverse("image", args=[self.pk])

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def reading(self) -> "Reading | None":
        """The primary reading, None before the image is prepared. Prefetch ``readings`` where there are many images."""
        return next((reading for reading in self.readings.all() if not reading.shadow), None)

    @property
    def result(self) -> "Reading | None":
        """The primary reading once it has a result."""
        reading = self.reading if self.status == Status.SUCCEEDED else None
        return reading if reading and reading.state == ReadingState.SUCCEEDED else None


class IdempotencyKey(models.Model):
    """A request that made a job; see :mod:`webapp.studies.services.idempotency`."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="hash of the sender and their key")
    fingerprint = models.CharField(max_length=64, help_text="hash of what was sent")
    image = models.ForeignKey(Image, models.CASCADE, null=True, blank=True, related_name="+")
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.digest


class Reading(models.Model):
    """One image on its way through one model, and what the model found.

    An image has one primary reading, which decides its status, and a shadow reading for each model that runs beside.
    """

    image = models.ForeignKey(Image, models.CASCADE, related_name="readings", db_index=False)  # the constraint's serves
    bundle = models.CharField(max_length=100, help_text="the model's name and version; empty where it is not known")
    shadow = models.BooleanField(default=False, help_text="of a second model, beside the one that counts")
    priority = models.CharField(max_length=12, choices=Priority, help_text="its image's")
    input = models.FileField(max_length=255, blank=True, help_text="the model's exact input, 8-bit greyscale PNG")
    input_sha256 = models.CharField(max_length=64, blank=True, default="")

    state = models.CharField(max_length=10, choices=ReadingState, default=ReadingState.READY)
    claim = models.UUIDField(null=True, blank=True, help_text="the batch that reads it, or has read it")
    worker = models.UUIDField(null=True, blank=True, help_text="the worker of that batch")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="batches begun with it that did not end")
    dispatched_at = models.DateTimeField(help_text="when its latest message was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, help_text="messages sent for it")
    ready_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    probabilities = models.JSONField(default=dict, blank=True, help_text="by the bundle's class names")
    probability = models.FloatField(null=True, blank=True, help_text="of pneumonia")
    label = models.CharField(max_length=100, blank=True, help_text="the bundle's, by its threshold")
    group = models.CharField(max_length=10, choices=ResultGroup, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    operating_point = models.CharField(max_length=100, blank=True, help_text="the threshold's name in the bundle")
    operating_points = models.JSONField(default=dict, blank=True, help_text="the bundle's thresholds by name")
    warnings = models.JSONField(default=list, blank=True)
    heatmap = models.BinaryField(
        default=b"", help_text="what the reading rests on: a square of bytes, row by row, the strongest place 255"
    )
    batch_size = models.PositiveSmallIntegerField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="the batch's time in the model")

    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)

    objects = ReadingQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "bundle"], name="one_reading_a_bundle")]
        # What a worker reads next, "interactive" before "bulk", what waits for a model, and what is in a batch.
        indexes = [models.Index(fields=["state", "bundle", "-priority", "dispatched_at"])]

    def __str__(self) -> str:
        return f"{self.bundle}: {self.label or self.state}"

    @property
    def queue(self) -> str:
        """The queue that its messages go to."""
        return f"infer.shadow.{self.bundle}" if self.shadow else f"infer.{self.priority}"

    @property
    def is_usable(self) -> bool:
        """Whether the result means anything: the image looks like those that the model learnt from."""
        return self.group != ResultGroup.UNUSABLE

    @property
    def unclear_from(self) -> float:
        """Probability from which a result is not negative any more."""
        return group_bounds(self.threshold or 0.0, self.operating_points)[0]

    @property
    def positive_from(self) -> float:
        return group_bounds(self.threshold or 0.0, self.operating_points)[1]

    @property
    def evidence_is_weak(self) -> bool:
        """Whether there is next to nothing to see in the map."""
        return max(bytes(self.heatmap), default=0) < 64
