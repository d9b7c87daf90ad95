"""Clean one data set, with all that is nested in it."""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from deidentify import table
from deidentify.areas import Area, blank
from deidentify.errors import NotCleanedError
from deidentify.table import Action

#: Values that stand for others (PS3.15 E.3.1 leaves them to whoever removes), by value representation.
DUMMIES = {
    "AS": "000Y", "DA": "19000101", "DT": "19000101", "TM": "000000", "DS": "0", "IS": "0", "UR": "urn:removed",
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
    **dict.fromkeys(("FD", "FL", "SS", "US", "SL", "UL", "SV", "UV"), 0),
}  # fmt: skip
#: Dates become earlier by up to so many days, the same for all of a patient.
MOST_DAYS = 3650
#: The profile and its options as PS3.16 CID 7050 codes them.
PROFILE = ("113100", "Basic Application Confidentiality Profile")
PIXELS = ("113101", "Clean Pixel Data Option")
DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
DEVICE = ("113109", "Retain Device Identity Option")


@dataclass(frozen=True)
class Options:
    """What is kept that the profile would remove, and where text is blanked.

    Attributes:
        dates: keep dates and times, with all dates of a patient moved by the same number of days.
        characteristics: keep the patient's age, sex, size, weight and the like.
        device: keep what identifies the device.
        areas: where text is burned into pixels.
    """

    dates: bool = False
    characteristics: bool = False
    device: bool = False
    areas: Sequence[Area] = ()

    @property
    def codes(self) -> list[tuple[str, str]]:
        """The profile and its options, without what is done to the pixels."""
        kept = ((self.dates, DATES), (self.characteristics, CHARACTERISTICS), (self.device, DEVICE))
        return [PROFILE, *(code for wanted, code in kept if wanted)]

    def keeps(self, tag: int) -> bool:
        return (self.characteristics and tag in table.CHARACTERISTICS) or (self.device and tag in table.DEVICE)


_DAY, _CLOCK = r"(\d{4})\.?(\d{2})\.?(\d{2})", r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?"
#: What a value of each representation of dates and times looks like, as old files also write it. Nothing else is kept.
TIMES = {"DA": f"{_DAY}(?P<time>)", "DT": rf"{_DAY}(?P<time>(?:{_CLOCK})?(?:[+-]\d{{4}})?)", "TM": _CLOCK}


def pseudonym(key: bytes, kind: str, value: str) -> bytes:
    """32 bytes that stand for a value: always the same with one key, and nothing to be learnt from without it."""
    return hmac.digest(key, f"{kind}\0{value}".encode(), "sha256")


def new_uid(key: bytes, uid: str) -> str:
    """The UID that stands for another."""
    return f"2.25.{UUID(bytes=pseudonym(key, 'uid', uid)[:16], version=4).int}"


def patient_name(dataset: Dataset, key: bytes) -> str:
    """The name that stands for a data set's patient, or for its study where it names none."""
    patient = dataset.get("PatientID") or dataset.get("StudyInstanceUID") or dataset.get("SOPInstanceUID")
    return pseudonym(key, "patient", str(patient)).hex()[:16].upper()


def clean(dataset: Dataset, key: bytes, options: Options, decode: Callable[[Dataset], None] | None = None) -> None:
    """Remove from a data set what identifies its patient, and write down how.

    Private attributes go, and those that no edition of the standard known here has.

    Args:
        dataset: of :func:`deidentify.files.read`.
        key: secret; with the same one, the same patients, studies and images get the same names.
        options: what is kept.
        decode: turns the pixels of a data set into uncompressed ones, where text has to be blanked.

    Raises:
        NotCleanedError: ``dicom_damaged``, ``burned_in_text`` where the file says that its pixels have text and no area
            is known, or ``pixels_compressed``.
    """
    says = "BurnedInAnnotation" in dataset
    _drop_unreadable(dataset)
    if says and "BurnedInAnnotation" not in dataset:
        raise NotCleanedError("dicom_damaged", "Whether text is part of the picture cannot be read.")
    if not dataset.get("SOPInstanceUID") or not dataset.get("SOPClassUID"):
        raise NotCleanedError("dicom_damaged", "The file names no SOP class or no SOP instance.")
    rectangles = [one for area in options.areas if area.fits(dataset) for one in area.rectangles]
    says_text = str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES"
    if says_text and not rectangles:
        raise NotCleanedError("burned_in_text", "The file says that text is part of its picture, and no area is known.")
    named = patient_name(dataset, key)
    days = int.from_bytes(pseudonym(key, "days", named)[:4]) % MOST_DAYS
    _Cleaner(key, options, timedelta(days=1 + days)).clean(dataset)
    dataset.PatientID = dataset.PatientName = named
    done = options.codes
    if rectangles:
        if decode:
            decode(dataset)
        blank(dataset, rectangles)
        dataset.BurnedInAnnotation = "NO"
        done.append(PIXELS)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "PS3.15 table E.1-1, 2026c"
    dataset.DeidentificationMethodCodeSequence = [_item(code) for code in done]
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if options.dates else "REMOVED"


def _item(code: tuple[str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code
    item.CodingSchemeDesignator = "DCM"
    return item


@dataclass(frozen=True)
class _Cleaner:
    key: bytes
    options: Options
    shift: timedelta

    def clean(self, dataset: Dataset) -> None:
        _drop_unreadable(dataset)
        for tag in list(dataset.keys()):
            action = table.action(tag)
            if tag.is_private or tag.element == 0 or not (action or dictionary_has_tag(tag)):
                del dataset[tag]
            else:
                self._act(dataset, dataset[tag], None if self.options.keeps(tag) else action)

    def _act(self, dataset: Dataset, element: DataElement, action: Action | None) -> None:
        # Of the dictionary: a file may give a name or an address the representation of a time.
        representation = _representation(element)
        if self.options.dates and representation in TIMES and element.tag not in table.OF_PATIENTS:
            action = None
            moved = [self._moved(representation, one) for one in _several(element.value)]
            dataset[element.tag] = DataElement(element.tag, representation, moved)
        if action in (None, Action.CLEAN) and element.VR == "SQ":
            for item in element.value:
                self.clean(item)
        elif action is Action.UID:
            element.value = [new_uid(self.key, str(uid)) for uid in _several(element.value)]
        elif action is Action.DUMMY and representation in DUMMIES:
            dataset[element.tag] = DataElement(element.tag, representation, DUMMIES[representation])
        elif action is Action.EMPTY:
            dataset[element.tag] = DataElement(element.tag, representation, None)
        elif action is not None:
            # Also dummies of what no dummy stands for: bytes, and sequences, of which none is needed in an image.
            del dataset[element.tag]

    def _moved(self, representation: str, value: Any) -> str:
        """A date that is earlier; a time as it is; nothing for what is neither."""
        found = re.fullmatch(TIMES[representation], str(value or "").strip())
        if not found or representation == "TM":
            return found[0] if found else ""
        try:
            moved = date(*map(int, found.groups()[:3])) - self.shift
        except (ValueError, OverflowError):
            return ""
        return moved.isoformat().replace("-", "") + found["time"]


def _drop_unreadable(dataset: Dataset) -> None:
    """Delete the damaged elements of a data set."""
    for tag in list(dataset.keys()):
        try:
            dataset[tag]
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element, of which nothing is kept)
            del dataset[tag]


def _several(value: Any) -> list[Any]:
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return list(value) if several else [value] if value else []


def _representation(element: DataElement) -> str:
    """The one of the data dictionary, as a file may give any other, or the file's for what the dictionary lacks."""
    known = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.VR
    return known.split(" or ")[0]
