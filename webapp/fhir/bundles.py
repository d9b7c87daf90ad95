"""A study's results as a Bundle of FHIR R5 or R4: DiagnosticReport, Observations, ImagingStudy and Device.

The resources are plain dictionaries. The library fhir.resources would cost each web process 30 MB and a second of
start-up. The tests use it to validate every kind of result in both versions.
"""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from django.conf import settings
from django.utils import timezone

from webapp.fhir import codes
from webapp.fhir.observations import Resource, has_value, observations, status_of, urn
from webapp.refusals import Refused
from webapp.studies.choices import FINAL, ResultGroup
from webapp.studies.models import Image, Patient, Study

#: The supported versions, the default first: R5, and R4 (4.0.1; these resources are the same in 4.3.0, called R4B).
VERSIONS = ("5.0", "4.0")
MAX_IMAGES = 1000
NOT_FOR_DIAGNOSIS = (
    "Not for diagnosis. A research tool that supports trained staff; no medical device. Preliminary means that no "
    "reader has confirmed it."
)


def bundle(study: Study, version: str = VERSIONS[0]) -> Resource:
    """The current results of a study. They identify the patient as the study does.

    Args:
        study: the study, with its patient and department loaded.
        version: one of :data:`VERSIONS`.

    Raises:
        Refused: ``study_too_large`` when the study has more than :data:`MAX_IMAGES` images.
    """
    rows = study.images.select_related("instance", "patient").prefetch_related("readings").order_by("created_at", "pk")
    images = list(rows[: MAX_IMAGES + 1])
    if len(images) > MAX_IMAGES:
        raise Refused("study_too_large", f"At most {MAX_IMAGES} images fit into a bundle. Please use results.jsonl.")
    patients = {image.patient for image in images if image.patient} | ({study.patient} - {None})
    subject = _subject(patients.pop() if len(patients) == 1 else None, study)
    by_study_uid: dict[str, list[Image]] = {}  # an upload may have files of several DICOM studies
    for image in images:
        if uid := _study_uid(image):
            by_study_uid.setdefault(uid, []).append(image)
    imaging = {uid: urn(study.pk, f"ImagingStudy {uid}") for uid in by_study_uid}
    entries = [(imaging[uid], _imaging_study(of_one, subject, version)) for uid, of_one in by_study_uid.items()]
    models = sorted({image.result.bundle for image in images if image.result})
    devices = {model: urn(uuid5(NAMESPACE_DNS, f"PneumoQueue {model}"), "Device") for model in models}
    entries += [(address, _device(model, version)) for model, address in devices.items()]
    group_urls: list[str] = []
    for image in images:
        if image.status in FINAL:
            derived = imaging.get(_study_uid(image))
            device = devices[image.result.bundle] if image.result else None
            image_subject = _subject(image.patient or study.patient, study)
            image_observations = observations(image, image_subject, derived, device)
            group_urls.append(image_observations[0][0])
            entries += image_observations
    report = (
        urn(study.pk, "DiagnosticReport"),
        _report(study, images, group_urls, [*imaging.values()], subject, version),
    )
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": timezone.now().isoformat(),
        "entry": [
            {"fullUrl": address, "resource": _with_id(address, resource)} for address, resource in (report, *entries)
        ],
    }


def _with_id(address: str, resource: Resource) -> Resource:
    return {"resourceType": resource["resourceType"], "id": address.removeprefix("urn:uuid:"), **resource}


def _subject(patient: Patient | None, study: Study) -> Resource:
    """A reference to a patient by the department's patient identifier."""
    if patient is None:
        return {"type": "Patient", "display": "Not known"}
    owner = study.department.slug if study.department else "own"
    return {
        "type": "Patient",
        "identifier": {"system": f"urn:pneumoqueue:patients:{owner}", "value": patient.identifier},
    }


def _report(
    study: Study, images: Sequence[Image], group_urls: list[str], imaging: list[str], subject: Resource, version: str
) -> Resource:
    name = "study" if version == "5.0" else "imagingStudy"  # R5 renamed it: its studies may also be genomic
    positive = [image for image in images if image.group == ResultGroup.POSITIVE and has_value(image)]
    kinds = {image.verdict_kind for image in positive}
    kind_codes = [concept for kind, concept in codes.KINDS.items() if kinds == {kind}]
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{study.pk}"}],
        "status": _status(images),
        "category": [codes.RADIOLOGY],
        "code": codes.REPORT,
        "subject": subject,
        "issued": timezone.now().isoformat(),
        **({"result": [{"reference": address} for address in group_urls]} if group_urls else {}),
        **({name: [{"reference": address} for address in imaging]} if imaging else {}),
        "conclusion": f"{_conclusion(images, len(positive))}. {NOT_FOR_DIAGNOSIS}",
        # A negative result gets no conclusion code, because it does not rule pneumonia out.
        **({"conclusionCode": kind_codes or [codes.PNEUMONIA]} if positive else {}),
    }


def _conclusion(images: Sequence[Image], positive: int) -> str:
    """The number of positive images. Unclear images and those without an answer are counted apart: they are not free of
    signs.
    """
    evaluated = sum(map(has_value, images))
    unread = sum(image.result is None for image in images)
    unclear = sum(has_value(image) and image.group == ResultGroup.UNCLEAR for image in images)
    others = {"unclear": unclear, "not evaluated": len(images) - evaluated - unread, "not read": unread}
    rest = ", ".join(f"{number} {words}" for words, number in others.items() if number)
    return f"{positive} of {evaluated} evaluated images show signs of pneumonia{'; ' * bool(rest)}{rest}"


def _status(images: Sequence[Image]) -> str:
    """The report's status.

    It is partial while images are unfinished, then preliminary until readers have judged every image that was read,
    then corrected or final.
    """
    if not images or any(image.status not in FINAL for image in images):
        return "partial"
    statuses = {status_of(image) for image in images}
    order = ("preliminary", "corrected", "final", "cancelled")
    return next(status for status in order if status in statuses)


def _study_uid(image: Image) -> str:
    """The Study Instance UID of a DICOM image; empty if the file lacks one of the UIDs that an ImagingStudy needs."""
    if not hasattr(image, "instance"):
        return ""
    instance = image.instance
    uids = (instance.study_uid, instance.series_uid, instance.instance_uid, instance.class_uid)
    return instance.study_uid if all(uids) else ""


def _imaging_study(images: Sequence[Image], subject: Resource, version: str) -> Resource:
    first = images[0].instance
    series: dict[str, Resource] = {}
    for image in images:
        instance = image.instance
        entry = series.setdefault(
            instance.series_uid,
            {"uid": instance.series_uid, "modality": _modality(instance.modality, version), "instance": []},
        )
        entry["instance"].append(
            {
                "uid": instance.instance_uid,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{instance.class_uid}"},
            }
        )
    for entry in series.values():
        entry["numberOfInstances"] = len(entry["instance"])
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{first.study_uid}"}],
        "status": "available",
        "subject": subject,
        **({"started": first.study_date.isoformat()} if first.study_date else {}),
        **({"description": first.study_description} if first.study_description else {}),
        "numberOfSeries": len(series),
        "numberOfInstances": len(images),
        "series": list(series.values()),
    }


def _modality(modality: str, version: str) -> Any:
    """The modality: a CodeableConcept in R5, a Coding in R4."""
    code = {"system": codes.DICOM, "code": modality or "OT"}
    return {"coding": [code]} if version == "5.0" else code


def _device(model: str, version: str) -> Resource:
    """The model as a Device, identified as in the DICOM report."""
    name, number = ("name", "value") if version == "5.0" else ("deviceName", "name")
    kind = {"text": "Software that reads chest X-rays"}
    return {
        "resourceType": "Device",
        "identifier": [
            {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:2.25.{uuid5(NAMESPACE_DNS, f'PneumoQueue {model}').int}"}
        ],
        "manufacturer": "PneumoQueue",
        name: [{number: "PneumoQueue", "type": "user-friendly-name"}],
        "modelNumber": model,
        "version": [
            {"type": {"text": "model bundle"}, "value": model},
            {"type": {"text": "service"}, "value": str(settings.VERSION)},
        ],
        "type": [kind] if version == "5.0" else kind,
    }
