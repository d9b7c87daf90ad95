"""What the profile does with each attribute (PS3.15 table E.1-1), and what its options keep.

The table itself is that of the library dicom-anonymizer, which reads it from the standard (edition 2026c).
"""

from enum import Enum

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as standard
from pydicom.datadict import tag_for_keyword


class Action(Enum):
    """What becomes of an attribute. Where the standard leaves a choice by the attribute's type in the object (as X/Z/D
    does), it is the one that every type allows.
    """

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    #: A sequence that stays, with its items cleaned.
    CLEAN = "C"


_CODES = (
    (standard.X_TAGS, Action.REMOVE),
    ((*standard.Z_TAGS, *standard.X_Z_TAGS), Action.EMPTY),
    ((*standard.D_TAGS, *standard.Z_D_TAGS, *standard.X_D_TAGS, *standard.X_Z_D_TAGS), Action.DUMMY),
    (standard.U_TAGS, Action.UID),
    (standard.X_Z_U_STAR_TAGS, Action.CLEAN),
)
_ACTIONS = {tag[0] << 16 | tag[1]: action for tags, action in _CODES for tag in tags if len(tag) == 2}
#: The groups that repeat (curves and overlays): tag, mask, action.
_REPEATING = [
    (tag[0] << 16 | tag[1], tag[2] << 16 | tag[3], action) for tags, action in _CODES for tag in tags if len(tag) == 4
]


def action(tag: int) -> Action | None:
    """What becomes of an attribute; None where the table does not have it, so that it stays."""
    if found := _ACTIONS.get(tag):
        return found
    return next((then for group, mask, then in _REPEATING if tag & mask == group & mask), None)


def _tags(*keywords: str) -> frozenset[int]:
    return frozenset(tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None)


#: What the option Retain Patient Characteristics keeps as it is. What it would keep once somebody has cleaned its text
#: (allergies, special needs and the like) goes.
CHARACTERISTICS = _tags(
    "PatientAge", "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight", "EthnicGroup", "SmokingStatus",
    "PregnancyStatus",
)  # fmt: skip
#: What Retain Device Identity keeps, of devices that take radiographs.
DEVICE = _tags(
    "StationName", "DeviceSerialNumber", "DeviceUID", "DetectorID", "PlateID", "CassetteID", "GantryID", "GeneratorID",
    "PerformedStationAETitle", "PerformedStationName", "ScheduledStationAETitle", "ScheduledStationName",
    "XRayDetectorID", "XRayDetectorLabel", "XRaySourceID",
)  # fmt: skip
#: What no option keeps, though it is a date or a time: it is the patient's own.
OF_PATIENTS = _tags("PatientBirthDate", "PatientBirthTime")
