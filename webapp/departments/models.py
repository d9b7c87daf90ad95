"""Departments and their members. :mod:`webapp.departments.permissions` decides what a member may do."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from webapp.departments import windows
from webapp.statistics import Line

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Department(models.Model):
    """A department that owns studies, images and patients together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True, help_text="its name in the API")
    operating_point = models.CharField(
        max_length=100, blank=True, help_text="the threshold's name in the bundle; blank for the service's own"
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(36_500)],
        help_text="days after which its images are deleted; blank to keep them",
    )
    daily_images = models.PositiveIntegerField(
        null=True, blank=True, help_text="images that may be sent to it in a day; blank for no limit"
    )
    daily_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="bytes that may be sent to it in a day, ZIPs unpacked; blank for no limit"
    )
    night_start = models.TimeField(
        null=True, blank=True, help_text="from when its bulk images are read, in the service's time zone"
    )
    night_end = models.TimeField(null=True, blank=True, help_text="until when; blank to read them at any time")
    # New columns have a default in the database, because web processes of the previous release still insert rows.
    share = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="its part of each batch of bulk images, by comparison with other departments and persons, who have 1",
    )
    label_outside_training = models.BooleanField(
        default=False,
        db_default=False,
        help_text="give a label to images of an age or view that the model did not learn from; it is never reliable",
    )
    prevalence = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="of 100 children who are X-rayed in it, how many have pneumonia; blank for 20",
    )
    second_reading = models.BooleanField(
        default=False,
        db_default=False,
        help_text="have each image read by two people, the second of whom does not know what the first one says",
    )
    least_sensitivity = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(50), MaxValueValidator(99)],
        help_text="of 100 pneumonias by its readers, how many the model has to find at least; blank for no alert",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(night_start__isnull=True, night_end__isnull=True)
                | Q(night_start__isnull=False, night_end__isnull=False),
                name="night_has_start_and_end",
                violation_error_message=_("Give both the start and the end of the night, or neither."),
            ),
            models.CheckConstraint(condition=Q(share__gte=1), name="share_of_at_least_one"),
        ]
        permissions = [("administer", "Can see and do everything, in every department")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("department", args=[self.slug])

    def opens_at(self, now: datetime) -> datetime | None:
        """When its bulk images may be read next; None if they may be read now."""
        return windows.opens_at(self.night_start, self.night_end, now)


class Role(models.TextChoices):
    """A reader sees and reviews, an uploader sees and sends, a manager may do everything in the department."""

    READER = "reader", _("Reader")
    UPLOADER = "uploader", _("Uploader")
    MANAGER = "manager", _("Manager")


class Membership(models.Model):
    """A user's role in a department."""

    department = models.ForeignKey(Department, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.READER)
    service = models.BooleanField(
        default=False, db_default=False, help_text="a service account, which only ever uses API tokens"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["department", "user"], name="one_role_in_a_department")]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} of {self.department}"


#: The name of the operating point that a department has chosen on its own images.
LOCAL = "local"


class Calibration(models.Model):
    """A department's choice, based on its own images, of how a model's scores are calibrated, and of two thresholds.

    The newest calibration that is not undone is in force. A row never changes, except when it is undone.
    """

    department = models.ForeignKey(Department, models.CASCADE, related_name="calibrations")
    bundle = models.CharField(max_length=100, help_text="the model's name and version")
    slope = models.FloatField(help_text="of the log-odds of the model's score")
    intercept = models.FloatField(help_text="added to them")
    unclear_from = models.FloatField(help_text="probability, calibrated, below which no signs are found")
    positive_from = models.FloatField(help_text="probability, calibrated, from which there are signs of pneumonia")
    answers = models.JSONField(help_text="how often each answer is given, as of webapp.studies.models.Bundle")
    chosen_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    chosen_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-chosen_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.department} for {self.bundle}"

    @property
    def line(self) -> Line:
        return Line(self.slope, self.intercept)

    @property
    def operating_points(self) -> dict[str, float]:
        """The thresholds by name, as readings store them."""
        return {"screening": self.unclear_from, "balanced": self.positive_from, LOCAL: self.positive_from}

    @property
    def stated(self) -> dict[str, Any]:
        """The part of the calibration that is stored with each result."""
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "chosen_at": self.chosen_at.isoformat(),
            "answers": self.answers,
        }


def memberships_of(user: "User") -> "models.QuerySet[Membership]":
    """A user's memberships. Like Django's permissions, they are read once for each user object."""
    memberships: models.QuerySet[Membership] = user.__dict__.setdefault("_memberships", user.memberships.all())
    return memberships
