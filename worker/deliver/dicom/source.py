"""What the objects take over from the image's own file, and the UIDs that they get.

The file is read whenever they are made: the database holds nothing of it but what finding an image needs.
"""

from typing import Any

from django.utils import timezone
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from webapp.dicom.models import Revision
from webapp.dicom.results import Kind, uid
from webapp.studies.outbox.services import NotDeliveredError

#: What each object has of patient and study, if only empty.
EXPECTED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: The groups of attributes that have the patient, the study, the equipment and how the patient was placed.
GROUPS = (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0032, 0x0040)
#: What no object can do without.
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
UTF_8 = "ISO_IR 192"
MANUFACTURER = "PneumoQueue"
NOT_FOR_DIAGNOSIS = "Not for diagnosis"


def read(stream: Any) -> Dataset:
    """Read what the objects take over from an image's file, with its texts as UTF-8.

    Raises:
        NotDeliveredError: it is no DICOM file, or lacks a UID.
    """
    try:
        source = dcmread(stream, stop_before_pixels=True, force=True)
        # What a manufacturer or a fault has put anywhere else is no reason to tell nothing.
        for tag in [tag for tag in source.keys() if tag.group not in GROUPS]:  # noqa: SIM118  (it has no other way to its tags)
            del source[tag]
        source.decode()
    except (InvalidDicomError, NotImplementedError, OSError, ValueError, LookupError) as error:
        reason = f"the image's file cannot be read as DICOM ({type(error).__name__})"
        raise NotDeliveredError(reason, permanent=True) from error
    if missing := [name for name in NEEDED if not source.get(name)]:
        raise NotDeliveredError(f"the image's file has no {missing[0]}", permanent=True)
    source.SpecificCharacterSet = UTF_8
    for name in EXPECTED:
        if name not in source:
            setattr(source, name, None)
    return source


def place(revision: Revision, kind: Kind, name: str = "") -> dict[str, Any]:
    """Where an object stands: in a series of its own.

    Args:
        name: what its UIDs are made with, where that is not the kind's.
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


def finish(made: Dataset, revision: Revision, kind: Kind) -> None:
    """Give an object the time of its revision, in place of the time at which it was made, and its description."""
    moment = timezone.localtime(revision.made_at)
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    for name in ("InstanceCreation", "Content", "Series"):
        setattr(made, f"{name}Date", date)
        setattr(made, f"{name}Time", time)
    for item in made.ContributingEquipmentSequence:
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time
    made.TimezoneOffsetFromUTC = moment.strftime("%z")
    made.SeriesDescription = f"PneumoQueue {kind.name}, {NOT_FOR_DIAGNOSIS.lower()}"


def reference(source: Dataset, revision: Revision, kind: Kind, *, image: bool = False) -> Dataset:
    """What another object says of one that was made of a revision: patient, study and its UIDs."""
    made = Dataset()
    for name in ("StudyInstanceUID", "SpecificCharacterSet", *EXPECTED):
        setattr(made, name, source.get(name))
    made.SOPClassUID = kind.class_uid
    made.SOPInstanceUID = uid(revision, kind.name)
    made.SeriesInstanceUID = uid(revision, f"{kind.name} series")
    if image:
        made.Rows = made.Columns = 0  # by these highdicom knows an image
    return made
