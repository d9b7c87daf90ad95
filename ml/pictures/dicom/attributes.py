"""The attributes of a DICOM file that are kept in the database, as plain values, and no others."""

import re
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import PersonName

from ml.pictures.dicom import elements

#: Days in what an age string (VR AS) counts in.
DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
#: Years that an age may be: dates of birth that stand for unknown ones, as 1 January 1900 or 1800, give more.
OLDEST = 120
#: A whole number as databases have it.
LARGEST = 2**31
#: What a view's code means (PS3.16 CID 4010), and the value of View Position for it.
VIEWS = (
    (re.compile(r"postero-?anterior", re.IGNORECASE), "PA"),
    (re.compile(r"antero-?posterior", re.IGNORECASE), "AP"),
    (re.compile(r"oblique", re.IGNORECASE), "OBLIQUE"),
    (re.compile(r"lateral", re.IGNORECASE), "LATERAL"),
)
#: What a department's rules may ask for; nothing of it is kept.
FOR_RULES = (
    "AccessionNumber", "BodyPartExamined", "CurrentPatientLocation", "DeviceSerialNumber", "ImageType",
    "InstitutionName", "InstitutionalDepartmentName", "Manufacturer", "ManufacturerModelName", "Modality",
    "PatientAge", "PatientID", "PatientSex", "PerformedProcedureStepDescription", "PresentationIntentType",
    "ProtocolName", "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedurePriority",
    "RequestingService", "SeriesDescription", "StationName", "StudyDate", "StudyDescription", "ViewPosition",
)  # fmt: skip


def attributes_of(dataset: Dataset) -> dict[str, Any]:
    """The attributes of a data set; the transfer syntax is that of its file meta information.

    Returns:
        Always the same keys. Texts are empty and other values None where the file lacks them: ``study_uid``,
        ``series_uid``, ``instance_uid``, ``class_uid``, ``transfer_syntax``, ``modality``, ``body_part``,
        ``view_position``, ``study_date``, ``study_time``, ``study_description``, ``accession_number``,
        ``series_number``, ``instance_number``, ``patient_identifier``, ``patient_name``, ``patient_birth_date``,
        ``patient_sex`` (``F``, ``M`` or ``O``), ``age``, the patient's in years when the X-ray was taken, and
        ``for_rules``, the texts of those attributes in :data:`FOR_RULES` that it has.
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
        "series_number": _whole(dataset, "SeriesNumber"),
        "instance_number": _whole(dataset, "InstanceNumber"),
        "patient_identifier": elements.text(dataset, "PatientID"),
        "patient_name": patient_name(dataset),
        "patient_birth_date": elements.day(dataset, "PatientBirthDate"),
        "patient_sex": sex if sex in ("F", "M", "O") else "",
        "age": age_of(dataset),
        "for_rules": {keyword: text for keyword in FOR_RULES if (text := elements.text(dataset, keyword))},
    }


def body_part(dataset: Dataset) -> str:
    """Body Part Examined, or what the anatomic region's code means (PS3.3 10.5), in capitals."""
    named = elements.text(dataset, "BodyPartExamined")
    regions = elements.items(dataset, "AnatomicRegionSequence")
    return (named or (elements.text(regions[0], "CodeMeaning") if regions else "")).upper()


def view_position(dataset: Dataset) -> str:
    """View Position, or what the view's code means (PS3.3 C.8.11.5, of digital X-rays), in capitals."""
    if named := elements.text(dataset, "ViewPosition"):
        return named.upper()
    codes = elements.items(dataset, "ViewCodeSequence")
    meaning = elements.text(codes[0], "CodeMeaning") if codes else ""
    return next((view for pattern, view in VIEWS if pattern.search(meaning)), "")


def age_of(dataset: Dataset) -> float | None:
    """The patient's age in years, from Patient's Age or the dates of birth and study; None without either."""
    # Some exports leave the unit out; years are meant then.
    if stated := re.fullmatch(r"(\d{1,3})([DWMY]?)", elements.text(dataset, "PatientAge").upper()):
        return _age(int(stated[1]) * DAYS[stated[2] or "Y"])
    born, taken = elements.day(dataset, "PatientBirthDate"), _taken(dataset)
    return _age((taken - born).days) if born and taken else None


def _taken(dataset: Dataset) -> date | None:
    found = (elements.day(dataset, keyword) for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"))
    return next((day for day in found if day), None)


def _age(days: float) -> float | None:
    years = days / DAYS["Y"]
    return years if 0 <= years <= OLDEST else None


def _whole(dataset: Dataset, keyword: str) -> int | None:
    found = elements.number(dataset, keyword)
    return int(found) if found is not None and abs(found) < LARGEST else None


def patient_name(dataset: Dataset) -> str:
    """A person's name (PS3.5 6.2.1) with the family name first: as letters, or else as the first group there is."""
    found = elements.first(dataset, "PatientName")
    if not isinstance(found, PersonName):
        return elements.text(dataset, "PatientName").replace("^", " ").strip()
    try:
        groups = [elements.CONTROLS.sub(" ", group) for group in str(found).split("=")]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (pydicom decodes a name when it is asked for, and raises any exception then)
        return ""
    family, _, given = next((group for group in groups if group.strip("^ ")), "").partition("^")
    # Prefix and suffix, which come last, are no part of what a patient is called here.
    rest = " ".join(part.strip() for part in given.split("^")[:2] if part.strip())
    return ", ".join(part for part in (family.strip(), rest) if part)
