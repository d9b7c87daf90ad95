"""Create, change and merge patients. :mod:`webapp.studies.services.deletion` deletes them."""

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
#: Number of identifiers in one query.
CHUNK = 500


def identifier_of(text: str) -> str:
    """Return a patient's identifier in the form that is stored; empty if nothing visible is left."""
    return names.clean(text)[:128]


def new(identity: Identity, department: Department | None) -> Patient:
    """Return an unsaved patient of a department or of the identity."""
    if department:
        return Patient(department=department)
    return Patient(owner=identity.user, guest=identity.guest)


@atomically
def save(
    patient: Patient,
    identity: Identity,
    *,
    identifier: str,
    name: str = "",
    birth_date: date | None = None,
    sex: str = "",
) -> Patient:
    """Create a patient, or change an existing one.

    Args:
        patient: a patient with an owner.
        identity: who makes the change, for the audit.
        identifier: unique among the patients of the owner.
        name: the name to show.
        birth_date: the date of birth. Images that came without an age get it from this date, so that a change also
            updates the warnings and groups of their results.
        sex: one of :class:`webapp.studies.choices.Sex`, or empty.

    Raises:
        Refused: ``patient_without_identifier``, ``patient_exists`` or ``patient_gone``.
    """
    patient.identifier = identifier_of(identifier)
    patient.name = names.clean(name)[:255]
    patient.birth_date, patient.sex = birth_date, sex
    if not patient.identifier:
        raise Refused("patient_without_identifier", "A patient's identifier needs visible characters.")
    before = None if patient._state.adding else _locked([patient.pk])[patient.pk]
    try:
        with transaction.atomic():
            patient.save()
    except IntegrityError:
        raise Refused(
            "patient_exists",
            f"A patient with the identifier {patient.identifier} already exists. If it is the same person, edit or "
            "merge that patient.",
        ) from None
    if before is None:
        record(identity, Action.CREATE, patient)
    elif changed := [field for field in FIELDS if getattr(before, field) != getattr(patient, field)]:
        record(identity, Action.CHANGE, patient, fields=changed)
        if "birth_date" in changed:
            judge_again(Image.objects.filter(patient=patient, age_years=None))
    return patient


@atomically
def merge(kept: Patient, other: Patient, identity: Identity) -> None:
    """Move the studies and images of one patient to another, and delete the first.

    A missing name, date of birth or sex of the remaining patient is taken from the other.

    Args:
        kept: the patient who remains.
        other: the patient who is deleted.
        identity: who merges them, for the audit.

    Raises:
        Refused: ``patients_not_mergeable`` or ``patient_gone``.
    """
    if kept.pk == other.pk or kept.ownership != other.ownership:
        raise Refused(
            "patients_not_mergeable",
            "Only two different patients of the same department or the same owner can be merged.",
        )
    both = _locked([kept.pk, other.pk])
    current, gone = both[kept.pk], both[other.pk]
    studies = Study.objects.filter(patient=gone).update(patient=current)
    images = Image.objects.filter(patient=gone).update(patient=current)
    for field in FIELDS[1:]:
        setattr(current, field, getattr(current, field) or getattr(gone, field))
    record(identity, Action.MERGE, current, other=gone.pk)
    gone.delete()
    current.save()
    judge_again(Image.objects.filter(patient=current, age_years=None))
    logger.info("patient %s merged into %s: %d studies, %d images", other.pk, kept.pk, studies, images)


def _locked(ids: Sequence[UUID]) -> dict[UUID, Patient]:
    """Lock patients until the transaction ends, and return them by id.

    Raises:
        Refused: ``patient_gone``.
    """
    # Ordered, so that two merges of the same patients do not wait for each other.
    rows = {row.pk: row for row in Patient.objects.filter(pk__in=ids).select_for_update().order_by("pk")}
    if len(rows) < len(ids):
        raise Refused("patient_gone", "This patient has just been deleted or merged into another.")
    return rows


def named(owner: Owned, people: Mapping[str, str]) -> dict[str, Patient]:
    """Return patients of an owner by their identifiers. Create those that are missing.

    Args:
        owner: a row with the same owner.
        people: identifiers in their stored form, each with the patient's sex if it was given. The sex is stored if the
            patient had none before.
    """
    patients = _existing(owner, people)
    missing = [
        Patient(**owner.ownership, identifier=text, sex=sex) for text, sex in people.items() if text not in patients
    ]
    if missing:
        # Another upload may create the same patients at the same time.
        Patient.objects.bulk_create(missing, ignore_conflicts=True, batch_size=CHUNK)
        patients |= _existing(owner, [patient.identifier for patient in missing])
    for text in people:
        if text not in patients:  # if the database's collation treats different letters as equal
            patients[text] = Patient.objects.get(**owner.ownership, identifier=text)
    changed = []
    for text, sex in people.items():
        if sex and not patients[text].sex:
            patients[text].sex = sex
            changed.append(patients[text])
    Patient.objects.bulk_update(changed, ["sex"], batch_size=CHUNK)
    return patients


def one_named(owner: Owned, identifier: str) -> Patient | None:
    """Return the patient of a row's owner with an identifier, created if missing; None without an identifier."""
    identifier = identifier_of(identifier)
    return named(owner, {identifier: ""})[identifier] if identifier else None


def learn(patient: Patient, *, name: str, birth_date: date | None) -> None:
    """Store a patient's name and date of birth if they were unknown. Known values stay. Call this in a transaction.

    Args:
        patient: a saved patient.
        name: the name; empty if it was not given.
        birth_date: the date of birth. An impossible date is ignored.
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
