"""Images, and the requests that created them."""

from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone

from webapp.addresses import address
from webapp.studies.choices import (
    FACETS,
    FINAL,
    PneumoniaKind,
    Priority,
    ReadingState,
    ResultGroup,
    ReviewStage,
    Status,
    Verdict,
    View,
)
from webapp.studies.models.archives import Archive, RequestIdMixin
from webapp.studies.models.indexes import filtered_lists, lists_by, worklists
from webapp.studies.models.studies import Patient, Study
from webapp.studies.ownership import Sent, once_for_each_owner
from webapp.studies.querysets import (
    ImageQuerySet,
)

if TYPE_CHECKING:
    from webapp.studies.models.readings import Reading


class Image(Sent, RequestIdMixin):
    """One uploaded image: its status, and what its preparation found.

    Once the image has a primary reading, its status follows the reading's state. Both change in one transaction.
    """

    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="images")
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, blank=True, related_name="images")
    archive = models.ForeignKey(Archive, models.SET_NULL, null=True, blank=True, related_name="images")
    archive_index = models.PositiveIntegerField(null=True, blank=True)

    # Null if not given: adding such a column does not rewrite a million rows.
    age_years = models.FloatField(null=True, blank=True, help_text="the patient's, as whoever sent it gave it")
    view = models.CharField(max_length=10, choices=View, null=True, blank=True)  # noqa: DJ001
    comment = models.CharField(max_length=500, null=True, blank=True)  # noqa: DJ001

    instance_uid = models.CharField(max_length=64, null=True, blank=True, help_text="DICOM's SOP Instance UID")  # noqa: DJ001  (NULLs may repeat)
    filename = models.CharField(max_length=255)
    file = models.FileField(max_length=255, blank=True, help_text="empty where it was refused, or cancelled before")
    size = models.PositiveBigIntegerField(help_text="bytes")
    sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    brightness = models.FloatField(
        null=True, blank=True, help_text="the X-ray's mean grey level, 0 to 255, before it is made the model's input"
    )
    preview = models.FileField(max_length=255, blank=True)
    preview_sha256 = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="empty if the upload is its own preview"
    )

    priority = models.CharField(max_length=12, choices=Priority, default=Priority.INTERACTIVE)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    turn = models.FloatField(null=True, blank=True, help_text="its place among those to prepare, the smallest first")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="starts of its preparation that did not end")
    dispatched_at = models.DateTimeField(help_text="when the latest message to prepare it was sent")
    dispatches = models.PositiveSmallIntegerField(default=1, help_text="messages sent to prepare it")

    ingest_started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)

    # Columns that lists filter and sort by, written with the primary reading's result. Columns that a release adds have
    # a database default; see RequestIdMixin.
    group = models.CharField(
        max_length=10,
        choices=ResultGroup,
        blank=True,
        default="",
        db_default="",
        help_text="by the verdict that stands, else by the model",
    )
    label = models.CharField(max_length=100, blank=True, default="", db_default="", help_text="empty where unusable")
    probability = models.FloatField(null=True, blank=True, help_text="of pneumonia; null where unusable")
    warning_codes = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="a blank before and after each"
    )
    reviewed = models.BooleanField(default=False, db_default=False, help_text="whether a reader has given a verdict")
    # The outcome of the readers' verdicts; see webapp.reviews.services.
    stage = models.CharField(
        max_length=10, choices=ReviewStage, default=ReviewStage.UNREAD, db_default=ReviewStage.UNREAD
    )
    verdict = models.CharField(
        max_length=10, choices=Verdict, blank=True, default="", db_default="", help_text="the one that stands"
    )
    verdict_kind = models.CharField(max_length=10, choices=PneumoniaKind, blank=True, default="", db_default="")
    second_asked = models.BooleanField(
        default=False, db_default=False, help_text="whether somebody has asked for a second reading of this image"
    )
    stat = models.BooleanField(default=False, db_default=False, help_text="to be read by people before all others")

    objects = ImageQuerySet.as_manager()

    class Meta(Sent.Meta):
        constraints = [
            *Sent.Meta.constraints,
            *once_for_each_owner("instance_uid"),
            models.UniqueConstraint(fields=["archive", "archive_index"], name="image_once_per_archive"),
        ]
        indexes = [
            models.Index(fields=["status", "dispatched_at"]),
            # The later columns serve counts of a study's results.
            models.Index(fields=["study", "status", "group"]),
            # With the id, an owner's list needs no sort, so that no planner chooses another index.
            models.Index(fields=["owner", "-created_at", "-id"], name="studies_image_owner_list"),
            models.Index(fields=["guest", "-created_at"]),
            models.Index(fields=["department", "-created_at", "-id"], name="studies_image_depa_list"),
            models.Index(fields=["uploaded_by", "-created_at"]),
            # Finds earlier uploads of the same file.
            models.Index(fields=["sha256"]),
            # For the figures of the last minutes and the last hour.
            models.Index(fields=["status", "finished_at"]),
            # The images whose first message has not been sent yet. There are never many.
            models.Index(fields=["dispatched_at"], condition=models.Q(dispatches=0), name="image_never_sent"),
            # The images that wait to be prepared.
            models.Index(fields=["status", "turn"], condition=models.Q(turn__isnull=False), name="image_in_line"),
            # Paged lists of all images, of the images with a status, and of a study's images.
            models.Index(fields=["status", "-created_at", "-id"], name="studies_image_status_list"),
            models.Index(fields=["study", "created_at", "id"], name="studies_image_study_list"),
            *lists_by("filename", "studies_image", *FACETS),
            # Serves the search by patient. The search index above serves the one by file name.
            models.Index(
                fields=["patient", "created_at", "id", "owner", "department", *FACETS], name="studies_image_pati_search"
            ),
            *filtered_lists("studies_image"),
            *worklists("studies_image"),
        ]

    def __str__(self) -> str:
        return self.filename

    def get_absolute_url(self) -> str:
        return address("image", self.pk)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def age(self) -> float | None:
        """The patient's age in years when the image was sent, as the sender gave it or by the date of birth."""
        if self.age_years is not None or self.patient is None:
            return self.age_years
        return self.patient.age_on(timezone.localdate(self.created_at))

    @property
    def reading(self) -> "Reading | None":
        """The primary reading; None until the image is prepared. Prefetch ``readings`` for more than one image."""
        return next((reading for reading in self.readings.all() if not reading.shadow), None)

    @property
    def result(self) -> "Reading | None":
        """The primary reading once it has a result."""
        return self.result_in(self.reading) if self.status == Status.SUCCEEDED else None

    @property
    def preview_hash(self) -> str:
        """The hash of the preview; empty for older rows without one."""
        return self.sha256 if self.preview == self.file else self.preview_sha256

    def result_in(self, reading: "Reading | None") -> "Reading | None":
        """Return the given primary reading once it has a result. Unlike :attr:`result`, this needs no query."""
        done = self.status == Status.SUCCEEDED and reading and reading.state == ReadingState.SUCCEEDED
        return reading if done else None


class IdempotencyKey(models.Model):
    """A request that created an image or a study; see :mod:`webapp.studies.services.idempotency`."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="hash of the sender and their key")
    fingerprint = models.CharField(max_length=64, help_text="hash of what was sent")
    image = models.ForeignKey(Image, models.CASCADE, null=True, blank=True, related_name="+")
    study = models.ForeignKey(Study, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return self.digest
