"""The searchable attributes: where they are stored, and their form in the DICOM JSON model (PS3.18 F)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from webapp.dicom.models import ResultObject
from webapp.studies.models import Image

#: A search result: an image, or an object made from its result.
Row = Image | ResultObject
#: The UIDs of :data:`KEYS`.
Key = tuple[str, ...]

STUDY, SERIES, INSTANCE = "study", "series", "instance"
LEVELS = (STUDY, SERIES, INSTANCE)


@dataclass(frozen=True)
class Attribute:
    """An attribute of PS3.6.

    Attributes:
        path: the lookup from an image.
        of_result: the lookup from an object made from a result; empty if such objects lack the attribute.
        level: the highest level at which it can be searched for.
        on_request: whether responses contain it only if ``includefield`` requests it.
        if_known: whether responses contain it only if it has a value.
    """

    keyword: str
    tag: str
    vr: str
    path: str
    level: str
    on_request: bool = False
    if_known: bool = False

    @property
    def of_result(self) -> str:
        return OF_RESULTS.get(self.path, "") if self.level != STUDY else f"image__{self.path}"


ATTRIBUTES = (
    Attribute("SOPClassUID", "00080016", "UI", "instance__class_uid", INSTANCE),
    Attribute("SOPInstanceUID", "00080018", "UI", "instance__instance_uid", INSTANCE),
    Attribute("StudyDate", "00080020", "DA", "instance__study_date", STUDY),
    Attribute("StudyTime", "00080030", "TM", "instance__study_time", STUDY),
    Attribute("AccessionNumber", "00080050", "SH", "instance__accession_number", STUDY),
    Attribute("Modality", "00080060", "CS", "instance__modality", SERIES),
    Attribute("ModalitiesInStudy", "00080061", "CS", "instance__modality", STUDY),
    Attribute("StudyDescription", "00081030", "LO", "instance__study_description", STUDY, on_request=True),
    Attribute("SeriesDescription", "0008103E", "LO", "instance__series_description", SERIES, if_known=True),
    Attribute("PatientName", "00100010", "PN", "patient__name", STUDY),
    Attribute("PatientID", "00100020", "LO", "patient__identifier", STUDY),
    Attribute("PatientBirthDate", "00100030", "DA", "patient__birth_date", STUDY),
    Attribute("PatientSex", "00100040", "CS", "patient__sex", STUDY),
    Attribute("BodyPartExamined", "00180015", "CS", "instance__body_part", SERIES, on_request=True),
    Attribute("ViewPosition", "00185101", "CS", "instance__view_position", INSTANCE, on_request=True),
    Attribute("StudyInstanceUID", "0020000D", "UI", "instance__study_uid", STUDY),
    Attribute("SeriesInstanceUID", "0020000E", "UI", "instance__series_uid", SERIES),
    Attribute("SeriesNumber", "00200011", "IS", "instance__series_number", SERIES),
    Attribute("InstanceNumber", "00200013", "IS", "instance__instance_number", INSTANCE),
    Attribute("NumberOfFrames", "00280008", "IS", "instance__number_of_frames", INSTANCE, if_known=True),
    Attribute("Rows", "00280010", "US", "instance__rows", INSTANCE, if_known=True),
    Attribute("Columns", "00280011", "US", "instance__columns", INSTANCE, if_known=True),
    Attribute("BitsAllocated", "00280100", "US", "instance__bits_allocated", INSTANCE, if_known=True),
)
#: Lookups of result objects for the attributes that differ from those of their image.
OF_RESULTS = {
    "instance__class_uid": "class_uid",
    "instance__instance_uid": "instance_uid",
    "instance__modality": "modality",
    "instance__series_uid": "series_uid",
    "instance__series_number": "series_number",
    "instance__instance_number": "revision__number",
}
BY_NAME = {name: one for one in ATTRIBUTES for name in (one.keyword, one.tag)}
#: The UIDs that identify a study, a series and an instance.
UIDS = ("study_uid", "series_uid", "instance_uid")
KEYS = {level: UIDS[: number + 1] for number, level in enumerate(LEVELS)}


def of_levels(levels: Iterable[str], included: Iterable[Attribute] = ()) -> list[Attribute]:
    """The attributes of each search result: those of some levels, and those requested in addition."""
    defaults = {one for one in ATTRIBUTES if one.level in levels and not one.on_request}
    returned = (defaults | {*included, BY_NAME["StudyInstanceUID"]}) - {BY_NAME["ModalitiesInStudy"]}
    return sorted(returned, key=lambda one: one.tag)


def to_json(row: Row, attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Attributes as JSON. Unknown values are empty, or omitted if the attribute is ``if_known``."""
    is_result = isinstance(row, ResultObject)
    elements = ((one, element(one.vr, _value(row, one.of_result if is_result else one.path))) for one in attributes)
    return {one.tag: found for one, found in elements if "Value" in found or not one.if_known}


def _value(row: Any, path: str) -> Any:
    for name in path.split("__"):
        row = getattr(row, name, None) if name else None
    return row


def key(row: Row, level: str) -> Key:
    """The UIDs that identify a row at a level."""
    instance = row if isinstance(row, ResultObject) else row.instance
    return tuple(getattr(instance, name) for name in KEYS[level])


def element(vr: str, *values: Any) -> dict[str, Any]:
    """An element as JSON."""
    present: Sequence[Any] = [_json_value(vr, value) for value in values if value not in (None, "")]
    return {"vr": vr, "Value": present} if present else {"vr": vr}


def _json_value(vr: str, value: Any) -> Any:
    if vr == "PN":
        return {"Alphabetic": value.replace(", ", "^", 1)}
    if isinstance(value, date):
        return value.strftime("%Y%m%d")
    if isinstance(value, time):
        return value.strftime("%H%M%S")
    return value
