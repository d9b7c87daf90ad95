"""What is told of one image, as Observations: a group, the pneumonia's presence and, by the model, its probability.

HL7's guide "DICOM SR to FHIR Resource Mapping" maps a measurement group of TID 1500 like this. Unlike there, the group
has no value: its finding is what was looked for, and a program that took it for what was found would read a pneumonia
into every image.
"""

from typing import Any
from uuid import UUID, uuid5

from webapp.fhir import codes
from webapp.studies.choices import GROUP_BY_VERDICT, ResultGroup, Status, Verdict
from webapp.studies.models import Image

Resource = dict[str, Any]


def urn(of: UUID, kind: str) -> str:
    """The address of a resource within its bundle, always the same for the same thing."""
    return f"urn:uuid:{uuid5(of, f'fhir {kind}')}"


def is_overruled(image: Image) -> bool:
    """Whether a verdict stands that says something else than the model."""
    result = image.result
    return result is not None and image.verdict != "" and GROUP_BY_VERDICT[Verdict(image.verdict)] != result.group


def status_of(image: Image) -> str:
    """An answer of the model is never final; a verdict that contradicts it is its correction."""
    if image.status != Status.SUCCEEDED:
        return "cancelled"
    return "corrected" if is_overruled(image) else "final" if image.verdict else "preliminary"


def observations(image: Image, subject: Resource, study: str | None, device: str | None) -> list[tuple[str, Resource]]:
    """The Observations of an image that has come to its end, each with its address.

    Args:
        image: with its readings.
        subject: the patient.
        study: the address of the ImagingStudy that has the image, if one does.
        device: the address of the model that read it, if one did.
    """
    common = {
        "resourceType": "Observation",
        "status": status_of(image),
        "subject": subject,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{image.pk}"}],
        **({"issued": image.finished_at.isoformat()} if image.finished_at else {}),
        **({"derivedFrom": [{"reference": study}]} if study else {}),
    }
    overruled = is_overruled(image)
    by_model: Resource = {"device": {"reference": device}} if device and not overruled else {}
    by: Resource = by_model or {"performer": [{"display": "A reader"}]} if image.result else {}
    members = [(urn(image.pk, "presence"), common | by | _presence(image))]
    if by_model and _is_told(image):
        members.append((urn(image.pk, "certainty"), common | by | _certainty(image)))
    group = {
        "category": [codes.IMAGING, codes.MEASUREMENT_GROUP],
        "code": codes.PNEUMONIA,
        "hasMember": [{"reference": address} for address, _ in members],
        "note": [{"text": text} for text in _notes(image)],
    }
    return [(urn(image.pk, "group"), common | by | group), *members]


def _is_told(image: Image) -> bool:
    """Whether there is a value: a reader's, or the model's where it may be relied on."""
    result = image.result
    return result is not None and (is_overruled(image) or result.is_reliable) and image.group in codes.PRESENCE


def _presence(image: Image) -> Resource:
    value = {"valueCodeableConcept": codes.PRESENCE[ResultGroup(image.group)]} if _is_told(image) else {
        "dataAbsentReason": codes.UNSUPPORTED if image.result else codes.ERROR
    }  # fmt: skip
    return {
        "category": [codes.IMAGING],
        "code": {**codes.PRESENCE_OF_PROPERTY, "text": "Presence of pneumonia"},
        **value,
    }


def _certainty(image: Image) -> Resource:
    result = image.result
    percent = round(100 * result.probability, 2) if result and result.probability is not None else None
    return {
        "category": [codes.IMAGING],
        "code": {**codes.CERTAINTY, "text": "Probability of pneumonia by the model"},
        "valueQuantity": {"value": percent, "unit": "%", "system": codes.UNITS, "code": "%"},
    }


def _notes(image: Image) -> list[str]:
    result = image.result
    if result is None:
        return ["The image was not read."]
    notes = [f"Result group: {image.group}."]
    if is_overruled(image):
        notes.append(f"A reader's verdict overrules the model's result, which was: {result.group}.")
    if result.operating_point:
        notes.append(f"Operating point: {result.operating_point}, threshold {result.threshold}.")
    notes.extend(f"Warning: {warning['code']}." for warning in result.warnings)
    return [*notes, "Not for diagnosis. A result without signs of pneumonia does not rule it out."]
