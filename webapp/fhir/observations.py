"""The result of one image as Observations: a group, the presence of pneumonia and the probability from the model.

HL7's guide "DICOM SR to FHIR Resource Mapping" maps a measurement group of TID 1500 this way. Unlike in the guide, the
group has no value: its finding is what was looked for. A program that took it for what was found would see pneumonia
in every image.
"""

from typing import Any
from uuid import UUID, uuid5

from webapp.fhir import codes
from webapp.studies.choices import GROUP_BY_VERDICT, ResultGroup, Status, Verdict
from webapp.studies.models import Image

Resource = dict[str, Any]


def urn(key: UUID, kind: str) -> str:
    """The URN of a resource within its bundle. The same object and kind always give the same URN."""
    return f"urn:uuid:{uuid5(key, f'fhir {kind}')}"


def is_overruled(image: Image) -> bool:
    """Whether the image has a verdict that differs from the model's answer."""
    result = image.result
    return result is not None and image.verdict != "" and GROUP_BY_VERDICT[Verdict(image.verdict)] != result.group


def is_by_reader(image: Image) -> bool:
    """Whether the answer is a reader's: a verdict on an unreliable result, or one that overrules the model."""
    result = image.result
    return result is not None and image.verdict != "" and (is_overruled(image) or not result.is_reliable)


def has_value(image: Image) -> bool:
    """Whether the presence has a value: a reader's, or the model's if it is reliable."""
    result = image.result
    return result is not None and (image.verdict != "" or result.is_reliable) and image.group in codes.PRESENCE


def status_of(image: Image) -> str:
    """The status of an image's Observations. The model's answer is never final; a differing verdict corrects it."""
    if image.status != Status.SUCCEEDED:
        return "cancelled"
    return "corrected" if is_overruled(image) else "final" if image.verdict else "preliminary"


def observations(image: Image, subject: Resource, study: str | None, device: str | None) -> list[tuple[str, Resource]]:
    """The Observations of a finished image, each with its URN.

    Args:
        image: the image, with its readings loaded.
        subject: the reference to the patient.
        study: the URN of the ImagingStudy that contains the image, if there is one.
        device: the URN of the model that read the image, if one did.
    """
    common = {
        "resourceType": "Observation",
        "status": status_of(image),
        "subject": subject,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{image.pk}"}],
        **({"issued": image.finished_at.isoformat()} if image.finished_at else {}),
        **({"derivedFrom": [{"reference": study}]} if study else {}),
    }
    model_source: Resource = {"device": {"reference": device}} if device and not is_by_reader(image) else {}
    source: Resource = model_source or {"performer": [{"display": "A reader"}]} if image.result else {}
    members = [(urn(image.pk, "presence"), common | source | _presence(image))]
    if model_source and has_value(image):
        members.append((urn(image.pk, "certainty"), common | source | _certainty(image)))
    group = {
        "category": [codes.IMAGING, codes.MEASUREMENT_GROUP],
        "code": codes.PNEUMONIA,
        "hasMember": [{"reference": address} for address, _ in members],
        "note": [{"text": text} for text in _notes(image)],
    }
    return [(urn(image.pk, "group"), common | source | group), *members]


def _presence(image: Image) -> Resource:
    value = {"valueCodeableConcept": codes.PRESENCE[ResultGroup(image.group)]} if has_value(image) else {
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
