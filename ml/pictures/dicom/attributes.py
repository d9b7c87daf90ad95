"""Extract the attributes of a DICOM file that the database stores, as plain values."""

import re
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import PersonName

from ml.pictures.dicom import elements

#: Days in each unit of an age string (VR AS).
DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
#: Largest plausible age in years. Placeholders for unknown dates of birth, such as 1 January 1900 or 1800, give more.
OLDEST = 120
#: Bound of the absolute value of an integer in the database.
LARGEST = 2**31
#: Words for views that are neither frontal nor plainly lateral, in the meaning of a view code (PS3.16 CID 4010).
NOT_FRONTAL = re.compile(
    r"oblique|decubitus|axial|lordotic|sagittal|tangential|occlusal|tissue specimen|verticosubmental|submentovertical|"
    r"cranio-?caudal|caudo-?cranial|planto-?dorsal|dorso-?plantar|(acanthio|orbito)-?parietal|"
    r"parieto-?(acanthial|orbital)",
    re.IGNORECASE,
)
#: Pattern of the meaning of any other view code, and the View Position for it.
VIEWS = (
    (re.compile(r"postero-?anterior", re.IGNORECASE), "PA"),
    (re.compile(r"antero-?posterior", re.IGNORECASE), "AP"),
    (re.compile(r"lateral", re.IGNORECASE), "LATERAL"),
)
#: Attributes that the rules of a department may test. They are not stored.
FOR_RULES = (
    "AccessionNumber", "BodyPartExamined", "CurrentPatientLocation", "DeviceSerialNumber", "ImageType",
    "InstitutionName", "InstitutionalDepartmentName", "Manufacturer", "ManufacturerModelName", "Modality",
    "PatientAge", "PatientID", "PatientSex", "PerformedProcedureStepDescription", "PresentationIntentType",
    "ProtocolName", "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedurePriority",
    "RequestingService", "SeriesDescription", "StationName", "StudyDate", "StudyDescription", "ViewPosition",
)  # fmt: skip


def attributes_of(dataset: Dataset) -> dict[str, Any]:
    """Extract the attributes of a data set, and the transfer syntax from its file meta information.

    Returns:
        Always the same keys. If the file lacks a value, texts are empty and other values are None: ``study_uid``,
        ``series_uid``, ``instance_uid``, ``class_uid``, ``transfer_syntax``, ``modality``, ``body_part``,
        ``view_position``, ``study_date``, ``study_time``, ``study_description``, ``accession_number``,
        ``series_number``, ``instance_number``, ``series_description``, ``rows``, ``columns``, ``bits_allocated``,
        ``number_of_frames``, ``patient_identifier``, ``patient_name``, ``patient_birth_date``, ``patient_sex`` (``F``,
        ``M`` or ``O``), ``age`` (the patient's age in years when the X-ray was taken), and ``for_rules`` (the texts of
        the attributes in :data:`FOR_RULES` that the file has).
    """
    meta = getattr(dataset, "file_meta", None) or Dataset()
    sex = elements.text(dataset, "PatientSex").upper()
    return {
        "study_uid": elements.text(dataset, "StudyInstanceUID"),
        "series_uid": elements.text(dataset, "SeriesInstanceUID"),
        "instance_uid": elements.text(dataset, "SOPInstanceUID"),
        "class_uid": elements.text(dataset, "SOPClassUID"),
        "transfer_syntax": elements.text(meta, "TransferSyntaxUID"),
        "modality": elements.text(dataset, "Modality").upper(),
        "body_part": body_part(dataset),
        "view_position": view_position(dataset),
        "study_date": elements.day(dataset, "StudyDate"),
        "study_time": elements.clock(dataset, "StudyTime"),
        "study_description": elements.text(dataset, "StudyDescription"),
        "accession_number": elements.text(dataset, "AccessionNumber"),
        "series_number": _integer(dataset, "SeriesNumber"),
        "instance_number": _integer(dataset, "InstanceNumber"),
        "series_description": elements.text(dataset, "SeriesDescription"),
        "rows": _integer(dataset, "Rows"),
        "columns": _integer(dataset, "Columns"),
        "bits_allocated": _integer(dataset, "BitsAllocated"),
        "number_of_frames": _integer(dataset, "NumberOfFrames"),
        "patient_identifier": elements.text(dataset, "PatientID"),
        "patient_name": patient_name(dataset),
        "patient_birth_date": elements.day(dataset, "PatientBirthDate"),
        "patient_sex": sex if sex in ("F", "M", "O") else "",
        "age": age_of(dataset),
        "for_rules": {keyword: text for keyword in FOR_RULES if (text := elements.text(dataset, keyword))},
    }


def body_part(dataset: Dataset) -> str:
    """Body Part Examined, or else the meaning of the anatomic region's code (PS3.3 10.5), in capitals."""
    examined = elements.text(dataset, "BodyPartExamined")
    regions = elements.items(dataset, "AnatomicRegionSequence")
    return (examined or (elements.text(regions[0], "CodeMeaning") if regions else "")).upper()


def view_position(dataset: Dataset) -> str:
    """View Position, or else the meaning of the view code (PS3.3 C.8.11.5, digital X-rays), in capitals."""
    if position := elements.text(dataset, "ViewPosition"):
        return position.upper()
    codes = elements.items(dataset, "ViewCodeSequence")
    meaning = elements.text(codes[0], "CodeMeaning") if codes else ""
    # First, since an oblique view is also called postero-anterior or lateral.
    if other := NOT_FRONTAL.search(meaning):
        return other[0].replace("-", "").upper()  # a View Position (VR CS) has no hyphen
    return next((view for pattern, view in VIEWS if pattern.search(meaning)), "")


def age_of(dataset: Dataset) -> float | None:
    """The patient's age in years, from Patient's Age or the dates of birth and study; None if both are missing."""
    # Some exports leave out the unit, and mean years.
    if stated := re.fullmatch(r"(\d{1,3})([DWMY]?)", elements.text(dataset, "PatientAge").upper()):
        return _age(int(stated[1]) * DAYS[stated[2] or "Y"])
    born, taken = elements.day(dataset, "PatientBirthDate"), _study_day(dataset)
    return _age((taken - born).days) if born and taken else None


def _study_day(dataset: Dataset) -> date | None:
    dates = (elements.day(dataset, keyword) for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"))
    return next((day for day in dates if day), None)


def _age(days: float) -> float | None:
    years = days / DAYS["Y"]
    return years if 0 <= years <= OLDEST else None


def _integer(dataset: Dataset, keyword: str) -> int | None:
    number = elements.number(dataset, keyword)
    return int(number) if number is not None and abs(number) < LARGEST else None


def patient_name(dataset: Dataset) -> str:
    """The patient's name (PS3.5 6.2.1), family name first, from the first component group that is not empty."""
    found = elements.first(dataset, "PatientName")
    if not isinstance(found, PersonName):
        return elements.text(dataset, "PatientName").replace("^", " ").strip()
    try:
        groups = [elements.CONTROLS.sub(" ", group) for group in str(found).split("=")]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (pydicom decodes a name on access, and may raise any exception)
        return ""
    family, _, given = next((group for group in groups if group.strip("^ ")), "").partition("^")
    # Prefix and suffix, which come last, are left out.
    rest = " ".join(part.strip() for part in given.split("^")[:2] if part.strip())
    return ", ".join(part for part in (family.strip(), rest) if part)
