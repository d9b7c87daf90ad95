"""What an image's DICOM file says of it and of its patient, where whoever sent it has said nothing else."""

import logging
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from webapp.dicom.models import Instance
from webapp.dicom.services import instances
from webapp.studies.choices import Status, WarningCode
from webapp.studies.files.manifests import VIEWS
from webapp.studies.models import Image
from webapp.studies.services import patients
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Identifiers that stand for none, so that those who have one are not taken for one person.
NOBODY = {"0", "NA", "N/A", "NONE", "NULL", "UNKNOWN", "ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "NOID"}


@atomically
def describe(image: Image, attributes: dict[str, Any]) -> list[dict[str, str]]:
    """Keep the attributes of an image's file: of the instance, and where they were not given the image's age and view
    and its patient, who is made where there is none.

    Args:
        image: one that is being prepared; another time changes nothing.
        attributes: as :func:`ml.pictures.dicom.attributes.attributes_of` gives them.

    Returns:
        ``{code, detail}`` each: where the patient's date of birth is another one than is known, and where the same
        instance was sent before.
    """
    # The patient may be deleted, or the image given another one, at this moment.
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
    current.save(update_fields=["age_years", "view", "patient"])
    found = _other_birth(current, attributes)
    if instance.instance_uid:
        _take_uid(current, instance.instance_uid)
        found += _repeated(current, instance.instance_uid)
    return found


def _name_patient(image: Image, attributes: dict[str, Any]) -> None:
    identifier = patients.identifier_of(attributes["patient_identifier"])
    if not identifier or identifier.upper() in NOBODY:
        return
    patient = patients.named(image, {identifier: attributes["patient_sex"]})[identifier]
    patients.learn(patient, name=attributes["patient_name"], birth_date=attributes["patient_birth_date"])
    image.patient = patient


def _other_birth(image: Image, attributes: dict[str, Any]) -> list[dict[str, str]]:
    """A warning where the patient may be somebody else of the same identifier."""
    born, patient = attributes["patient_birth_date"], image.patient
    if patient is None or patient.identifier != patients.identifier_of(attributes["patient_identifier"]):
        return []
    if not born or not patient.birth_date or born == patient.birth_date:
        return []
    detail = "The file gives another date of birth than is known of this patient. Please check whose image this is."
    return [{"code": str(WarningCode.BIRTH_DATE_DIFFERS), "detail": detail}]


def _take_uid(image: Image, uid: str) -> None:
    """Give an image its file's UID, unless another one of its owner has it."""
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
