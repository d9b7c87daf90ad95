"""The attributes that can be searched for: where they are kept, and how DICOM's JSON (PS3.18 F) says them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from webapp.dicom.models import ResultObject
from webapp.studies.models import Image

#: What is found: an image, or an object that is made of its result.
Row = Image | ResultObject
#: The UIDs of :data:`KEYS`.
Key = tuple[str, ...]

STUDY, SERIES, INSTANCE = "study", "series", "instance"
LEVELS = (STUDY, SERIES, INSTANCE)


@dataclass(frozen=True)
class Attribute:
    """An attribute of PS3.6.

    Attributes:
        path: where it is kept, from an image on.
        of_result: where it is kept, from an object on that is made of a result; empty where such an object has none.
        level: the highest at which it can be searched for.
        on_request: whether it is answered only where ``includefield`` asks for it.
    """

    keyword: str
    tag: str
    vr: str
    path: str
    level: str
    on_request: bool = False

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
)
#: Where objects that are made of results have what differs from their image.
OF_RESULTS = {
    "instance__class_uid": "class_uid",
    "instance__instance_uid": "instance_uid",
    "instance__modality": "modality",
    "instance__series_uid": "series_uid",
    "instance__series_number": "series_number",
    "instance__instance_number": "revision__number",
}
BY_NAME = {name: one for one in ATTRIBUTES for name in (one.keyword, one.tag)}
#: What a study, a series and an instance are told apart by.
UIDS = ("study_uid", "series_uid", "instance_uid")
KEYS = {level: UIDS[: number + 1] for number, level in enumerate(LEVELS)}


def of_levels(levels: Iterable[str], included: Iterable[Attribute] = ()) -> list[Attribute]:
    """The attributes that an answer has of one image: those of some levels, and what was asked for in addition."""
    wanted = {one for one in ATTRIBUTES if one.level in levels and not one.on_request}
    of_one = (wanted | {*included, BY_NAME["StudyInstanceUID"]}) - {BY_NAME["ModalitiesInStudy"]}
    return sorted(of_one, key=lambda one: one.tag)


def described(row: Row, attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Attributes as JSON; what is not known is empty."""
    made = isinstance(row, ResultObject)
    return {one.tag: element(one.vr, _value(row, one.of_result if made else one.path)) for one in attributes}


def _value(row: Any, path: str) -> Any:
    for name in path.split("__"):
        row = getattr(row, name, None) if name else None
    return row


def key(row: Row, level: str) -> Key:
    """What tells a row from others of its level."""
    one = row if isinstance(row, ResultObject) else row.instance
    return tuple(getattr(one, name) for name in KEYS[level])


def element(vr: str, *values: Any) -> dict[str, Any]:
    """An element as JSON."""
    said: Sequence[Any] = [_said(vr, value) for value in values if value not in (None, "")]
    return {"vr": vr, "Value": said} if said else {"vr": vr}


def _said(vr: str, value: Any) -> Any:
    if vr == "PN":
        return {"Alphabetic": value.replace(", ", "^", 1)}
    if isinstance(value, date):
        return value.strftime("%Y%m%d")
    if isinstance(value, time):
        return value.strftime("%H%M%S")
    return value
