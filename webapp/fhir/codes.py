"""The codes used in FHIR results, the same as in the DICOM report (``worker/deliver/dicom/report.py``)."""

from typing import Any

from webapp.studies.choices import PneumoniaKind, ResultGroup

DICOM, SNOMED, UNITS = (
    "http://dicom.nema.org/resources/ontology/DCM",
    "http://snomed.info/sct",
    "http://unitsofmeasure.org",
)
HL7 = "http://terminology.hl7.org/CodeSystem"


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [coding(system, code, display)]}


def coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


PNEUMONIA = concept(SNOMED, "233604007", "Pneumonia")
KINDS = {
    PneumoniaKind.BACTERIAL: concept(SNOMED, "53084003", "Bacterial pneumonia"),
    PneumoniaKind.VIRAL: concept(SNOMED, "75570004", "Viral pneumonia"),
}
PRESENCE_OF_PROPERTY = concept(DICOM, "121052", "Presence of property")
CERTAINTY = concept(DICOM, "111012", "Certainty of Finding")
REPORT = concept(DICOM, "126000", "Imaging Measurement Report")
MEASUREMENT_GROUP = concept(DICOM, "125007", "Measurement Group")
IMAGING = concept(f"{HL7}/observation-category", "imaging", "Imaging")
RADIOLOGY = concept(f"{HL7}/v2-0074", "RAD", "Radiology")
#: Whether pneumonia is present, for each result group. The group "unusable" has no such value.
PRESENCE = {
    ResultGroup.POSITIVE: concept(DICOM, "121053", "Present"),
    ResultGroup.UNCLEAR: concept(DICOM, "121059", "Presence Undetermined"),
    ResultGroup.NEGATIVE: concept(DICOM, "121054", "Absent"),
}
#: Reasons for a missing value: the model cannot judge such an image, or reading it failed.
UNSUPPORTED = concept(f"{HL7}/data-absent-reason", "unsupported", "Unsupported")
ERROR = concept(f"{HL7}/data-absent-reason", "error", "Error")
