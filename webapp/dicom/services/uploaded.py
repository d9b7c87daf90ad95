"""Apply the attributes of a DICOM file to its image and patient, unless the upload itself gave other values."""

import logging
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from webapp.dicom.models import Instance, Rule
from webapp.dicom.services import instances, rules
from webapp.studies.choices import Priority, Source, Status, WarningCode
from webapp.studies.files.manifests import VIEWS
from webapp.studies.models import Image, Study
from webapp.studies.services import cancellation, patients
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: The SOP class of digital X-rays that are for processing, not for people to view.
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
#: Patient IDs that mean "none", so that patients with such an ID are not taken for one person.
NOBODY = {"0", "NA", "N/A", "NONE", "NULL", "UNKNOWN", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "NOID"}


class NotToBeRead(Exception):
    """By a rule of the department the image is stored but not read. It has been cancelled."""


def describe(image: Image, attributes: dict[str, Any]) -> list[dict[str, str]]:
    """Save the attributes of an image's file and apply the department's rules.

    The attributes go to the instance. If they were not given with the upload, they also set the image's age, view and
    patient; the patient is created if there is none with that identifier.

    Args:
        image: an image that is being prepared. Repeated calls change nothing.
        attributes: the result of :func:`ml.pictures.dicom.attributes.attributes_of`.

    Returns:
        Warnings, each as ``{code, detail}``: the patient's known date of birth differs, the same instance was sent
        before, or the image is not meant for people to view.

    Raises:
        NotToBeRead: by a rule.
    """
    warnings = _describe(image, attributes)
    if warnings is None:
        raise NotToBeRead
    return warnings


@atomically
def _describe(image: Image, attributes: dict[str, Any]) -> list[dict[str, str]] | None:
    # The patient may be deleted, or the image assigned to another one, at the same moment.
    current = Image.objects.select_for_update().filter(pk=image.pk).first()
    if current is None:
        return []
    instance = instances.keep(current, attributes)
    if current.age_years is None:
        current.age_years = attributes["age"]
    if not current.view:
        current.view = VIEWS.get(attributes["view_position"])
    if current.patient_id is None:
        _name_patient(current, attributes)
    rule = _apply_rule(current, instance, attributes)
    current.save(update_fields=["age_years", "view", "patient", "stat", "priority"])
    warnings = _other_birth(current, attributes) + _for_processing(instance)
    if instance.instance_uid:
        _take_uid(current, instance.instance_uid)
        warnings += _repeated(current, instance.instance_uid)
    if rule and rule.unread:
        cancellation.cancel_image(current)
        return None
    return warnings


def _apply_rule(image: Image, instance: Instance, attributes: dict[str, Any]) -> Rule | None:
    """Apply the matching rule to an image. Its prefix for the study's name was applied when the study was created."""
    if image.department is None:
        return None
    rule = rules.decide(image.department, attributes["for_rules"], instance.calling_ae)
    if rule and rule.stat:
        image.stat, image.priority = True, Priority.INTERACTIVE
    if rule and rule.results_to_id:
        Instance.objects.filter(pk=instance.pk).update(results_to=rule.results_to_id)
    return rule


def _for_processing(instance: Instance) -> list[dict[str, str]]:
    """A warning if an image holds raw data of the detector, before it was processed for viewing."""
    if instance.class_uid != FOR_PROCESSING:
        return []
    detail = "The file has raw detector data (for processing). The model was trained on processed images."
    return [{"code": str(WarningCode.FOR_PROCESSING), "detail": detail}]


@atomically
def keep_study_uid(study: UUID) -> None:
    """Give an uploaded study the Study Instance UID and patient of its files, if these are the same in all files.

    If another study of the owner has that UID, the study stays without one.
    """
    row = Study.objects.select_for_update().filter(pk=study, source=Source.UPLOAD).first()
    if row is None:
        return
    if row.patient_id is None:
        patients_of = list(row.images.values_list("patient", flat=True).order_by().distinct()[:2])
        if len(patients_of) == 1 and patients_of[0]:
            row.patient_id = patients_of[0]
            row.save(update_fields=["patient"])
    uids = list(Instance.objects.filter(image__study=study).values_list("study_uid", flat=True).distinct()[:2])
    if len(uids) == 1 and uids[0] and not row.study_uid:
        try:
            with transaction.atomic():
                Study.objects.filter(pk=study).update(study_uid=uids[0])
        except IntegrityError:
            logger.info("study %s has the Study Instance UID of another study", study)


def _name_patient(image: Image, attributes: dict[str, Any]) -> None:
    identifier = patients.identifier_of(attributes["patient_identifier"])
    if not identifier or identifier.upper() in NOBODY:
        return
    patient = patients.named(image, {identifier: attributes["patient_sex"]})[identifier]
    patients.learn(patient, name=attributes["patient_name"], birth_date=attributes["patient_birth_date"])
    image.patient = patient


def _other_birth(image: Image, attributes: dict[str, Any]) -> list[dict[str, str]]:
    """A warning if the patient may be another person with the same identifier."""
    birth_date, patient = attributes["patient_birth_date"], image.patient
    if patient is None or patient.identifier != patients.identifier_of(attributes["patient_identifier"]):
        return []
    if not birth_date or not patient.birth_date or birth_date == patient.birth_date:
        return []
    detail = "The date of birth in the file differs from this patient's. Please check whose image this is."
    return [{"code": str(WarningCode.BIRTH_DATE_DIFFERS), "detail": detail}]


def _take_uid(image: Image, uid: str) -> None:
    """Give an image its file's SOP Instance UID, unless another image of its owner has it."""
    if image.instance_uid:
        return
    try:
        with transaction.atomic():
            Image.objects.filter(pk=image.pk).update(instance_uid=uid)
    except IntegrityError:
        logger.info("image %s has the instance of another image", image.pk)


def _repeated(image: Image, uid: str) -> list[dict[str, str]]:
    owner = Q(**{f"image__{name}": value for name, value in image.ownership.items()})
    same = Instance.objects.filter(owner, instance_uid=uid, image__created_at__lte=image.created_at)
    same = same.exclude(image__status__in=(Status.FAILED, Status.CANCELLED)).exclude(pk=image.pk)
    hashes = set(same.order_by("image__created_at").values_list("image__sha256", flat=True)[:100])
    if not hashes:
        return []
    if image.sha256 in hashes:
        detail = "The same file was sent before; its SOP Instance UID is that of an earlier image."
    else:
        detail = "An earlier image has the same SOP Instance UID and other content: this is another version of it."
    return [{"code": str(WarningCode.INSTANCE_SENT_BEFORE), "detail": detail}]
