"""Delete what has expired, unless it has changed since it was found: such as by another upload, or a new owner."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.utils import timezone

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.studies.models import Patient, Study
from webapp.studies.services import cancellation, deletion
from webapp.studies.services.deletion import Deleted
from webapp.studies.transactions import atomically


def delete_study(study: Study, rule: Q) -> Deleted:
    """Delete a study if the rule still applies to it and nothing of it waits."""
    return deletion.delete_study(study) if _end(study.pk, rule) else Deleted()


@atomically
def _end(study_id: UUID, rule: Q) -> bool:
    """Cancel a study, so that nothing more is added to it. Return False if it must not be deleted."""
    study = next(iter(deletion.lock(Study.objects.filter(rule, pk=study_id))), None)
    if study is None or cancellation.is_busy(study):
        return False
    Study.objects.filter(pk=study_id, cancelled_at=None).update(cancelled_at=timezone.now())
    return True


def delete_patients(patients: "QuerySet[Any]") -> Deleted:
    """Delete the patients of a queryset who have neither images nor studies."""
    deleted = Deleted()
    for pk in list(patients.values_list("pk", flat=True)):
        with suppress(IntegrityError):  # something of the patient has just arrived
            _delete_patient(patients.filter(pk=pk), deleted)
    return deletion.logged("patients", deleted)


@atomically
def _delete_patient(patients: "QuerySet[Any]", deleted: Deleted) -> None:
    for patient in deletion.lock(patients):
        record(None, Action.DELETE, patient)
        deletion.delete_rows(Patient.objects.filter(pk=patient.pk), set(), deleted)
