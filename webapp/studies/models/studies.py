"""Patients and studies."""

from collections.abc import Sequence

from django.db import models
from django.urls import reverse

from webapp.studies.models.indexes import lists_by
from webapp.studies.ownership import Owned, Sent, once_for_each_owner
from webapp.studies.querysets import (
    PatientQuerySet,
    StudyQuerySet,
)


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

    #: Names of files that were sent for it and not taken. Only the request that sends them knows these.
    skipped: Sequence[str] = ()

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
