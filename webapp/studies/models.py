"""The domain. The database is the truth about every upload; the broker only carries ids."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.studies.choices import FINAL, NOT_CHEST_XRAY, Label, Priority, Status
from webapp.studies.ownership import Owned, Sent, once_for_each_owner
from webapp.studies.querysets import ImageQuerySet, PatientQuerySet, StudyQuerySet


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
    """A ZIP on its way to becoming images."""

    class State(models.TextChoices):
        QUEUED = "queued"
        UNPACKED = "unpacked"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="archives")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255)
    total = models.PositiveIntegerField(help_text="files in it that will become images")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    dispatched_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.filename


class Image(Sent, RequestIdMixin):
    """One uploaded image and its way to a result."""

    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="images")
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, blank=True, related_name="images")
    archive = models.ForeignKey(Archive, models.SET_NULL, null=True, blank=True, related_name="images")
    archive_index = models.PositiveIntegerField(null=True, blank=True)

    instance_uid = models.CharField(max_length=64, null=True, blank=True, help_text="DICOM's SOP Instance UID")  # noqa: DJ001  (NULLs may repeat)
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255)
    size = models.PositiveBigIntegerField(help_text="bytes")
    sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    preview = models.FileField(max_length=255, blank=True)
    input = models.FileField(max_length=255, blank=True, help_text="the model's exact input, 8-bit greyscale PNG")

    priority = models.CharField(max_length=12, choices=Priority, default=Priority.INTERACTIVE)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="starts of the current step that have not come to an end"
    )
    claim = models.UUIDField(null=True, blank=True, help_text="the batch that is reading it")
    dispatched_at = models.DateTimeField(help_text="when its latest message was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, help_text="messages sent for the current step")

    ingest_started_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
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


class IdempotencyKey(models.Model):
    """A request that made a job; see :mod:`webapp.studies.services.idempotency`."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="hash of the sender and their key")
    fingerprint = models.CharField(max_length=64, help_text="hash of what was sent")
    image = models.ForeignKey(Image, models.CASCADE, null=True, blank=True, related_name="+")
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.digest


class Prediction(models.Model):
    """What a model said of an image."""

    image = models.OneToOneField(Image, models.CASCADE, primary_key=True, related_name="prediction")
    model = models.CharField(max_length=100, help_text="the bundle's name and version")
    normal = models.FloatField(help_text="probability of normal")
    pneumonia = models.FloatField(help_text="probability of pneumonia")
    threshold = models.FloatField()
    # The database's own default: workers of an earlier release know nothing of this column.
    operating_point = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="the threshold's name in the bundle"
    )
    label = models.CharField(max_length=10, choices=Label)
    warnings = models.JSONField(default=list, blank=True)
    heatmap = models.BinaryField(
        default=b"", help_text="what the reading rests on: a square of bytes, row by row, the strongest place 255"
    )
    batch_size = models.PositiveSmallIntegerField()
    seconds = models.FloatField(help_text="the batch's time in the model")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["-created_at"])]

    def __str__(self) -> str:
        return f"{self.label} {self.pneumonia:.3f}"

    @property
    def is_doubtful(self) -> bool:
        """Whether the image is unlike what the model learnt from, so that the probability says nothing."""
        return any(warning["code"] == NOT_CHEST_XRAY for warning in self.warnings)

    @property
    def evidence_is_weak(self) -> bool:
        """Whether there is next to nothing to see in the map."""
        return max(bytes(self.heatmap), default=0) < 64
