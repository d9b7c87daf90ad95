"""The attributes that DICOM objects copy from the image's file, and their UIDs.

The file is read each time objects are made, since the database stores only the attributes that are needed to find an
image.
"""

from typing import Any

from django.utils import timezone
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.valuerep import TM

from ml.pictures.dicom import elements
from webapp.dicom.models import Revision
from webapp.dicom.results import Kind, uid
from webapp.studies.outbox.services import NotDeliveredError

#: Attributes of patient and study that each object has, possibly empty.
EXPECTED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: The groups of attributes for the patient, the study, the equipment and the patient's position.
GROUPS = (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0040)
#: Attributes that every object needs.
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
#: Attributes with one value, for which objects cannot be made with several.
SINGLE = (*NEEDED, "PatientName", "ReferringPhysicianName")
SEXES = ("M", "F", "O")
UTF_8 = "ISO_IR 192"
MANUFACTURER = "PneumoQueue"
NOT_FOR_DIAGNOSIS = "Not for diagnosis"


def read(stream: Any) -> Dataset:
    """Read the attributes that objects copy from an image's file, with texts as UTF-8.

    Values that no object can be made with are mended or left out. All others stay as they are in the file, even if they
    are not valid, so that an archive finds its image.

    Raises:
        NotDeliveredError: the file is not a DICOM file, or lacks a UID.
    """
    try:
        source = dcmread(stream, stop_before_pixels=True, force=True)
        # Delete all other groups and damaged elements, so that none of them prevents sending a result.
        for tag in list(source.keys()):
            if tag.group not in GROUPS or not _is_readable(source, tag):
                del source[tag]
        source.decode()
    except (InvalidDicomError, NotImplementedError, OSError, ValueError, LookupError) as error:
        reason = f"the image's file cannot be read as DICOM ({type(error).__name__})"
        raise NotDeliveredError(reason, permanent=True) from error
    for name in SINGLE:
        setattr(source, name, elements.first(source, name))
    if missing := [name for name in NEEDED if not source.get(name)]:
        raise NotDeliveredError(f"the image's file has no {missing[0]}", permanent=True)
    source.SpecificCharacterSet = UTF_8
    for name in EXPECTED:
        if name not in source:
            setattr(source, name, None)
    source.PatientBirthDate, source.StudyDate = _date(source, "PatientBirthDate"), _date(source, "StudyDate")
    source.StudyTime = _time(source)
    sex = elements.text(source, "PatientSex").upper()
    source.PatientSex = sex if sex in SEXES else None
    return source


def _is_readable(source: Dataset, tag: BaseTag) -> bool:
    """Whether an element, and everything nested in it, can be read."""
    try:
        element = source[tag]
        for item in element.value if element.VR == "SQ" else ():
            item.decode()
    except MemoryError:
        raise  # not the element's fault
    except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element)
        return False
    return True


def _date(source: Dataset, name: str) -> str | None:
    found = elements.day(source, name)
    return found.isoformat().replace("-", "") if found else None


def _time(source: Dataset) -> str | None:
    found = elements.text(source, "StudyTime")
    try:
        TM(found)
    except ValueError:
        mended = elements.clock(source, "StudyTime")
        return mended.strftime("%H%M%S") if mended else None
    return found


def place(revision: Revision, kind: Kind, name: str = "") -> dict[str, Any]:
    """The attributes that identify an object and its own series.

    Args:
        name: the name from which its UIDs are derived, if it is not the kind's name.
    """
    name = name or kind.name
    return {
        "sop_instance_uid": uid(revision, name),
        "series_instance_uid": uid(revision, f"{name} series"),
        "series_number": kind.series,
        "instance_number": revision.number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": revision.bundle,
        "software_versions": revision.version,
        "specific_character_set": UTF_8,
    }


def finish(dataset: Dataset, revision: Revision, kind: Kind) -> None:
    """Give an object the time of its revision, instead of the time at which it was made, and its description."""
    made_at = timezone.localtime(revision.made_at)
    date, time = made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S.%f")
    for name in ("InstanceCreation", "Content", "Series"):
        setattr(dataset, f"{name}Date", date)
        setattr(dataset, f"{name}Time", time)
    for item in dataset.ContributingEquipmentSequence:
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time
    dataset.TimezoneOffsetFromUTC = made_at.strftime("%z")
    dataset.SeriesDescription = f"PneumoQueue {kind.name}, {NOT_FOR_DIAGNOSIS.lower()}"


def reference(source: Dataset, revision: Revision, kind: Kind, *, image: bool = False) -> Dataset:
    """A reference to an object of a revision, with its patient, study and UIDs."""
    referenced = Dataset()
    for name in ("StudyInstanceUID", "SpecificCharacterSet", *EXPECTED):
        setattr(referenced, name, source.get(name))
    referenced.SOPClassUID = kind.class_uid
    referenced.SOPInstanceUID = uid(revision, kind.name)
    referenced.SeriesInstanceUID = uid(revision, f"{kind.name} series")
    if image:
        referenced.Rows = referenced.Columns = 0  # highdicom recognises an image by these
    return referenced
