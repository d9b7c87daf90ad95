"""Make, change and merge patients. They are deleted by :mod:`webapp.studies.services.deletion`."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.studies.files import names
from webapp.studies.models import Image, Patient, Study
from webapp.studies.models.studies import FIRST_BIRTH
from webapp.studies.ownership import Owned
from webapp.studies.services.judging import judge_again
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: The fields of a patient.
FIELDS = ("identifier", "name", "birth_date", "sex")
#: Identifiers that one query is asked for.
CHUNK = 500


def identifier_of(text: str) -> str:
    """A patient's identifier as it is stored; empty where there is nothing left of it."""
    return names.clean(text)[:128]


def new(identity: Identity, department: Department | None) -> Patient:
    """A patient of a department or of the identity, not yet saved."""
    if department:
        return Patient(department=department)
    return Patient(owner=identity.user, guest=identity.guest)


@atomically
def save(
    patient: Patient, by: Identity, *, identifier: str, name: str = "", birth_date: date | None = None, sex: str = ""
) -> Patient:
    """Make a patient, or change one that there is.

    Args:
        patient: who has an owner.
        by: who does it, for the audit.
        identifier: unique among the patients of that owner.
        name: as it is to be shown.
        birth_date: which gives the age of images that come without one. Another one judges their results again.
        sex: one of :class:`webapp.studies.choices.Sex`, or empty.

    Raises:
        Refused: ``patient_without_identifier``, ``patient_exists`` or ``patient_gone``.
    """
    patient.identifier = identifier_of(identifier)
    patient.name = names.clean(name)[:255]
    patient.birth_date, patient.sex = birth_date, sex
    if not patient.identifier:
        raise Refused("patient_without_identifier", "A patient needs an identifier that can be seen.")
    before = None if patient._state.adding else _locked([patient.pk])[patient.pk]
    try:
        with transaction.atomic():
            patient.save()
    except IntegrityError:
        raise Refused(
            "patient_exists",
            f"There is a patient with the identifier {patient.identifier} already. If it is the same person, edit or "
            "merge that one.",
        ) from None
    if before is None:
        record(by, Action.CREATE, patient)
    elif changed := [field for field in FIELDS if getattr(before, field) != getattr(patient, field)]:
        record(by, Action.CHANGE, patient, fields=changed)
        if "birth_date" in changed:
            judge_again(Image.objects.filter(patient=patient, age_years=None))
    return patient


@atomically
def merge(kept: Patient, other: Patient, by: Identity) -> None:
    """Move a patient's studies and images to another patient, and delete the first; ``by`` as in :func:`save`.

    Missing fields of the remaining patient are taken from the other: name, date of birth, sex.

    Raises:
        Refused: ``patients_not_mergeable`` or ``patient_gone``.
    """
    if kept.pk == other.pk or kept.ownership != other.ownership:
        raise Refused(
            "patients_not_mergeable", "Two different patients can be merged, of the same department or the same person."
        )
    # In one order, so that two who merge the same patients do not wait for each other.
    both = _locked([kept.pk, other.pk])
    current, gone = both[kept.pk], both[other.pk]
    studies = Study.objects.filter(patient=gone).update(patient=current)
    images = Image.objects.filter(patient=gone).update(patient=current)
    for field in FIELDS[1:]:
        setattr(current, field, getattr(current, field) or getattr(gone, field))
    record(by, Action.MERGE, current, other=gone.pk)
    gone.delete()
    current.save()
    judge_again(Image.objects.filter(patient=current, age_years=None))
    logger.info("patient %s merged into %s: %d studies, %d images", other.pk, kept.pk, studies, images)


def _locked(ids: Sequence[UUID]) -> dict[UUID, Patient]:
    """Patients who stay as they are until the transaction ends.

    Raises:
        Refused: ``patient_gone``.
    """
    # In one order, so that two who merge the same patients do not wait for each other.
    found = {row.pk: row for row in Patient.objects.filter(pk__in=ids).select_for_update().order_by("pk")}
    if len(found) < len(ids):
        raise Refused("patient_gone", "This patient was deleted, or merged into another one, a moment ago.")
    return found


def named(owner: Owned, people: Mapping[str, str]) -> dict[str, Patient]:
    """The patients of an owner by their identifiers, made where there are none.

    Args:
        owner: a row with the same owner.
        people: identifiers as they are stored, each with the patient's sex where it is given. It is kept where it was
            not known before.
    """
    found = _existing(owner, people)
    missing = [
        Patient(**owner.ownership, identifier=text, sex=sex) for text, sex in people.items() if text not in found
    ]
    if missing:
        # Another upload may name the same ones at this moment.
        Patient.objects.bulk_create(missing, ignore_conflicts=True, batch_size=CHUNK)
        found |= _existing(owner, [patient.identifier for patient in missing])
    for text in people:
        if text not in found:  # where the database takes other letters for the same, as some collations do
            found[text] = Patient.objects.get(**owner.ownership, identifier=text)
    learnt = []
    for text, sex in people.items():
        if sex and not found[text].sex:
            found[text].sex = sex
            learnt.append(found[text])
    Patient.objects.bulk_update(learnt, ["sex"], batch_size=CHUNK)
    return found


def learn(patient: Patient, *, name: str, birth_date: date | None) -> None:
    """Keep what was not known of a patient; what was known stays. Call it in a transaction.

    Args:
        patient: a saved one.
        name: empty where it is not given.
        birth_date: one that cannot be is left out.
    """
    before = patient.name, patient.birth_date
    patient.name = patient.name or names.clean(name)[:255]
    if birth_date and not patient.birth_date and FIRST_BIRTH <= birth_date <= timezone.localdate():
        patient.birth_date = birth_date
    if before == (patient.name, patient.birth_date):
        return
    patient.save(update_fields=["name", "birth_date"])
    if before[1] != patient.birth_date:
        judge_again(Image.objects.filter(patient=patient, age_years=None))


def _existing(owner: Owned, identifiers: Iterable[str]) -> dict[str, Patient]:
    texts = list(identifiers)
    chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    return {
        patient.identifier: patient
        for chunk in chunks
        for patient in Patient.objects.filter(**owner.ownership, identifier__in=chunk)
    }
