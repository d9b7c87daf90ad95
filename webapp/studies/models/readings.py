"""Readings of images by models, and their results."""

from datetime import UTC, datetime

from django.db import models

from webapp.studies.choices import (
    NOT_RELIABLE,
    OUTSIDE_TRAINING,
    Priority,
    ReadingState,
    ResultGroup,
    group_bounds,
    has_warning,
)
from webapp.studies.models.images import Image
from webapp.studies.querysets import (
    ReadingQuerySet,
)


class Reading(models.Model):
    """One model's reading of one image: its state, claim and result.

    An image has one primary reading, which decides its status, and a shadow reading for each model in shadow mode.
    """

    # No index of its own: the constraint's index serves it.
    image = models.ForeignKey(Image, models.CASCADE, related_name="readings", db_index=False)
    bundle = models.CharField(max_length=100, help_text="the model's name and version; empty where it is not known")
    shadow = models.BooleanField(default=False, help_text="of a second model, beside the one that counts")
    priority = models.CharField(max_length=12, choices=Priority, help_text="its image's")
    input = models.FileField(max_length=255, blank=True, help_text="the model's exact input, 8-bit greyscale PNG")
    region = models.JSONField(
        default=list,
        blank=True,
        help_text="the input's place in the picture, in pixels: left, top, right, bottom; empty where it is all of it",
    )
    input_sha256 = models.CharField(max_length=64, blank=True, default="")

    state = models.CharField(max_length=10, choices=ReadingState, default=ReadingState.READY)
    claim = models.UUIDField(null=True, blank=True, help_text="the batch that reads it, or has read it")
    worker = models.UUIDField(null=True, blank=True, help_text="the worker of that batch")
    # Null in rows of previous releases, which did not read by turns.
    turn = models.FloatField(null=True, blank=True, help_text="its place among those that wait, the smallest first")
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
    calibration = models.JSONField(
        null=True, blank=True, help_text="of its department, by which the result was made; empty for the model's own"
    )
    # The warnings of the preparation and, once there is a result, of the reading.
    warnings = models.JSONField(default=list, blank=True)
    distance = models.FloatField(
        null=True, blank=True, help_text="from the X-rays that the model learnt from; beyond 1 it is flagged"
    )
    evidence_inside_lungs = models.FloatField(
        null=True, blank=True, help_text="the share of its map on or beside the lungs; empty where none were found"
    )
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
        # Serves the next readings ("interactive" before "bulk"), readings that wait for a model, and those in a batch.
        indexes = [models.Index(fields=["state", "bundle", "-priority", "turn"])]

    def __str__(self) -> str:
        return f"{self.bundle}: {self.label or self.state}"

    @property
    def is_by_turn(self) -> bool:
        """Whether the reading's turn decides when it is read, not its message."""
        return self.priority == Priority.BULK and not self.shadow

    @property
    def waits_until(self) -> datetime | None:
        """When the night begins that the reading is held for; None if it is not held for a night."""
        return datetime.fromtimestamp(self.turn, UTC) if self.state == ReadingState.HELD and self.turn else None

    @property
    def queue(self) -> str:
        """The queue for the reading's messages."""
        return f"infer.shadow.{self.bundle}" if self.shadow else f"infer.{self.priority}"

    @property
    def is_usable(self) -> bool:
        """Whether the result has a label, because the image is within the model's domain."""
        return self.group != ResultGroup.UNUSABLE

    @property
    def is_reliable(self) -> bool:
        """Whether the result may be relied on. Other results have a label only if the department wants one."""
        return self.is_usable and not has_warning(self.warnings, NOT_RELIABLE)

    @property
    def is_outside_training(self) -> bool:
        """Whether the patient's age or the view is outside the model's training data."""
        return has_warning(self.warnings, OUTSIDE_TRAINING)

    @property
    def shown_label(self) -> str | None:
        """The label to show, or None. :attr:`label` is always the label by the threshold."""
        return self.label if self.is_usable else None

    @property
    def unclear_from(self) -> float:
        """Probability from which a result is no longer negative."""
        return group_bounds(self.threshold or 0.0, self.operating_points)[0]

    @property
    def positive_from(self) -> float:
        return group_bounds(self.threshold or 0.0, self.operating_points)[1]

    @property
    def evidence_is_weak(self) -> bool:
        """Whether the heatmap shows almost nothing."""
        return max(bytes(self.heatmap), default=0) < 64


class Turn(models.Model):
    """An owner's latest turn in a line; see :mod:`webapp.studies.services.turns`."""

    owner = models.CharField(primary_key=True, max_length=64, help_text="the line, the kind of owner and their id")
    turn = models.FloatField(db_index=True)

    def __str__(self) -> str:
        return self.owner
