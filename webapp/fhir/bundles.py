"""A study's results as a Bundle of FHIR R5 or R4: DiagnosticReport, Observations, ImagingStudy and Device.

They are plain dictionaries. The library fhir.resources would cost each web process 30 MB and a second; the tests have
it validate every kind of result in both versions.
"""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from django.conf import settings
from django.utils import timezone

from webapp.fhir import codes
from webapp.fhir.observations import Resource, observations, status_of, urn
from webapp.refusals import Refused
from webapp.studies.choices import FINAL, ResultGroup
from webapp.studies.models import Image, Patient, Study

#: The versions, the default first: R5, and R4 (4.0.1; 4.3.0, called R4B, has the same in these resources).
VERSIONS = ("5.0", "4.0")
MAX_IMAGES = 1000
NOT_FOR_DIAGNOSIS = (
    "Not for diagnosis. A research tool that supports trained staff; no medical device. Preliminary means that no "
    "reader has confirmed it."
)


def bundle(study: Study, version: str = VERSIONS[0]) -> Resource:
    """The results of a study as they are now. It names the patient by the identifier that the study has.

    Args:
        study: with its patient and department.
        version: one of :data:`VERSIONS`.

    Raises:
        Refused: ``study_too_large``.
    """
    rows = study.images.select_related("instance", "patient").prefetch_related("readings").order_by("created_at", "pk")
    images = list(rows[: MAX_IMAGES + 1])
    if len(images) > MAX_IMAGES:
        raise Refused("study_too_large", f"At most {MAX_IMAGES} images are told as FHIR. Please use results.jsonl.")
    patients = {image.patient for image in images if image.patient} | ({study.patient} - {None})
    subject = _subject(patients.pop() if len(patients) == 1 else None, study)
    of_dicom = [image for image in images if hasattr(image, "instance")]
    entries: list[tuple[str, Resource]] = []
    imaging = urn(study.pk, "ImagingStudy") if of_dicom else None
    if imaging:
        entries.append((imaging, _imaging_study(of_dicom, subject, version)))
    models = sorted({image.result.bundle for image in images if image.result})
    devices = {model: urn(uuid5(NAMESPACE_DNS, f"PneumoQueue {model}"), "Device") for model in models}
    entries += [(address, _device(model, version)) for model, address in devices.items()]
    told: list[str] = []
    for image in images:
        if image.status in FINAL:
            derived = imaging if hasattr(image, "instance") else None
            device = devices[image.result.bundle] if image.result else None
            of = _subject(image.patient or study.patient, study)
            made = observations(image, of, derived, device)
            told.append(made[0][0])
            entries += made
    report = (urn(study.pk, "DiagnosticReport"), _report(study, images, told, imaging, subject, version))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": timezone.now().isoformat(),
        "entry": [{"fullUrl": address, "resource": _with_id(address, one)} for address, one in (report, *entries)],
    }


def _with_id(address: str, resource: Resource) -> Resource:
    return {"resourceType": resource["resourceType"], "id": address.removeprefix("urn:uuid:"), **resource}


def _subject(patient: Patient | None, study: Study) -> Resource:
    """A patient, by the identifier that the department uses."""
    if patient is None:
        return {"type": "Patient", "display": "Not known"}
    owner = study.department.slug if study.department else "own"
    return {
        "type": "Patient",
        "identifier": {"system": f"urn:pneumoqueue:patients:{owner}", "value": patient.identifier},
    }


def _report(
    study: Study, images: Sequence[Image], told: list[str], imaging: str | None, subject: Resource, version: str
) -> Resource:
    name = "study" if version == "5.0" else "imagingStudy"  # R5's may be of genomes, too
    positive = [image for image in images if image.group == ResultGroup.POSITIVE]
    kinds = {image.verdict_kind for image in positive}
    named = [concept for kind, concept in codes.KINDS.items() if kinds == {kind}]
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{study.pk}"}],
        "status": _status(images),
        "category": [codes.RADIOLOGY],
        "code": codes.REPORT,
        "subject": subject,
        "issued": timezone.now().isoformat(),
        **({"result": [{"reference": address} for address in told]} if told else {}),
        **({name: [{"reference": imaging}]} if imaging else {}),
        "conclusion": f"{len(positive)} of {len(images)} images show signs of pneumonia. {NOT_FOR_DIAGNOSIS}",
        # That nothing was found is no conclusion: it does not rule a pneumonia out.
        **({"conclusionCode": named or [codes.PNEUMONIA]} if positive else {}),
    }


def _status(images: Sequence[Image]) -> str:
    """Partial while images wait, preliminary until readers have judged all that were read, then corrected or final."""
    if not images or any(image.status not in FINAL for image in images):
        return "partial"
    found = {status_of(image) for image in images}
    order = ("preliminary", "corrected", "final", "cancelled")
    return next(status for status in order if status in found)


def _imaging_study(images: Sequence[Image], subject: Resource, version: str) -> Resource:
    first = images[0].instance
    series: dict[str, Resource] = {}
    for image in images:
        one = image.instance
        made = series.setdefault(
            one.series_uid, {"uid": one.series_uid, "modality": _modality(one.modality, version), "instance": []}
        )
        made["instance"].append(
            {"uid": one.instance_uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{one.class_uid}"}}
        )
    for made in series.values():
        made["numberOfInstances"] = len(made["instance"])
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
    """R4 has a Coding, R5 a CodeableConcept."""
    code = {"system": codes.DICOM, "code": modality or "OT"}
    return {"coding": [code]} if version == "5.0" else code


def _device(model: str, version: str) -> Resource:
    """The algorithm, as the DICOM report identifies it."""
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
