"""Patients and studies."""

import uuid
from collections.abc import Sequence
from datetime import date

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from webapp.addresses import address
from webapp.studies.choices import Sex
from webapp.studies.models.indexes import lists_by
from webapp.studies.ownership import Owned, Sent, once_for_each_owner
from webapp.studies.querysets import (
    PatientQuerySet,
    StudyQuerySet,
)

#: The earliest date of birth that is accepted.
FIRST_BIRTH = date(1900, 1, 1)


def check_birth_date(day: date) -> None:
    """Validate a date of birth.

    Raises:
        ValidationError: the date is before 1900 or in the future.
    """
    if not FIRST_BIRTH <= day <= timezone.localdate():
        raise ValidationError("The date of birth must be between 1900 and today.")


class Patient(Owned):
    """A patient of a department or, outside of departments, of an uploader.

    The same identifier in another department or with another uploader is another patient.
    """

    identifier = models.CharField(max_length=128)
    # Columns that a release adds have a database default; see RequestIdMixin.
    name = models.CharField(max_length=255, blank=True, default="", db_default="")
    birth_date = models.DateField(null=True, blank=True, validators=[check_birth_date], verbose_name="date of birth")
    sex = models.CharField(max_length=1, choices=Sex, blank=True, default="", db_default="")

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
            models.Index(fields=["name"], opclasses=["varchar_pattern_ops"], name="studies_patient_name"),
        ]

    def __str__(self) -> str:
        return self.identifier

    def get_absolute_url(self) -> str:
        return address("patient", self.pk)

    def age_on(self, day: date) -> float | None:
        """The patient's age in years, a whole number on a birthday. None if the date of birth is unknown or later."""
        born = self.birth_date
        if born is None or born > day:
            return None
        years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        since = (day - born).days - int(years * 365.25)
        return years + min(max(since, 0), 365) / 366


class Study(Sent):
    """Images that were sent together."""

    name = models.CharField(max_length=255, blank=True)
    study_uid = models.CharField(max_length=64, null=True, blank=True, help_text="DICOM's Study Instance UID")  # noqa: DJ001  (NULLs may repeat)
    patient = models.ForeignKey(Patient, models.PROTECT, null=True, blank=True, related_name="studies")
    stat = models.BooleanField(default=False, db_default=False, help_text="to be read by people before all others")
    cancelled_at = models.DateTimeField(null=True, blank=True)
    open_until = models.DateTimeField(
        null=True,
        blank=True,
        db_index=True,
        help_text="more files come, at the latest until then; it does not finish before",
    )
    manifest = models.JSONField(
        null=True, blank=True, help_text="what became of the manifests that were sent for it; null where there is none"
    )

    #: Names of files that were sent for the study and skipped. Set only on the instance in the upload's request.
    skipped: Sequence[str] = ()
    #: Set like ``skipped``: files that cannot be read, each with its name, code and sentence; and files that the owner
    #: has sent before, each with its name and the earlier image's id.
    refused: Sequence[dict[str, str]] = ()
    duplicates: Sequence[tuple[str, uuid.UUID]] = ()

    objects = StudyQuerySet.as_manager()

    class Meta(Sent.Meta):
        verbose_name_plural = "studies"
        constraints = [*Sent.Meta.constraints, *once_for_each_owner("study_uid")]
        indexes = [
            # With the id, an owner's list needs no sort, so that no planner chooses another index.
            models.Index(fields=["owner", "-created_at", "-id"], name="studies_study_owner_list"),
            models.Index(fields=["guest", "-created_at"]),
            models.Index(fields=["department", "-created_at", "-id"], name="studies_study_depa_list"),
            models.Index(fields=["uploaded_by", "-created_at"]),
            *lists_by("name", "studies_study", "cancelled_at"),
            # For lists of the studies from one source.
            models.Index(fields=["owner", "source", "-created_at", "-id"], name="studies_study_owner_source"),
            models.Index(fields=["department", "source", "-created_at", "-id"], name="studies_study_depa_source"),
            models.Index(fields=["source", "-created_at", "-id"], name="studies_study_source"),
            models.Index(
                fields=["-created_at", "-id"], condition=Q(cancelled_at__isnull=False), name="studies_study_cancelled"
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.pk)

    def get_absolute_url(self) -> str:
        return address("study", self.pk)
