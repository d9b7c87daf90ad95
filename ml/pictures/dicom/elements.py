"""Values of a data set's elements, of whatever kind a file gives them.

pydicom converts an element when it is first asked for, and raises many kinds of errors for one that is damaged. Here it
counts as missing.
"""

import re
from collections.abc import Sequence
from datetime import date, time
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag, Tag

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@cache
def _tag(keyword: str) -> BaseTag | None:
    """The tag that data sets are looked up by: to make it takes longer than to look."""
    tag = tag_for_keyword(keyword)
    return None if tag is None else Tag(tag)


def value(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None where it is missing, empty or damaged.

    An element whose value representation is unknown or wrong is read as the one of the data dictionary (PS3.6).
    """
    tag = _tag(keyword)
    if tag is None or tag not in dataset:
        return None
    try:
        found = dataset[tag].value
    except MemoryError:
        raise  # not the element's fault
    except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element)
        found = _by_dictionary(dataset, keyword)
    return None if found == "" else found


def _by_dictionary(dataset: Dataset, keyword: str) -> Any:
    try:
        raw = dataset.get_item(keyword)
        if not isinstance(raw, RawDataElement):
            return None
        return convert_raw_data_element(raw._replace(VR=dictionary_VR(raw.tag)), ds=dataset).value
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element)
        return None


def first(dataset: Dataset, keyword: str) -> Any:
    """The value, or of several the first one."""
    found = value(dataset, keyword)
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return found[0] if len(found) else None
    return found


def text(dataset: Dataset, keyword: str) -> str:
    """A text in one line; empty where there is none."""
    found = first(dataset, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", errors="replace")
    return "" if found is None else CONTROLS.sub(" ", str(found)).strip()


def number(dataset: Dataset, keyword: str) -> float | None:
    """A finite number."""
    return as_number(first(dataset, keyword))


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values that are numbers."""
    found = value(dataset, keyword)
    several = found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else [found]
    return [known for one in several if (known := as_number(one)) is not None]


def as_number(found: Any) -> float | None:
    try:
        known = float(found)
    except (TypeError, ValueError, OverflowError):
        return None
    return known if abs(known) < float("inf") else None


def integer(dataset: Dataset, keyword: str, otherwise: int = 0) -> int:
    """A whole number."""
    found = number(dataset, keyword)
    return otherwise if found is None else int(found)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    found = value(dataset, keyword)
    several = isinstance(found, Sequence) and not isinstance(found, str | bytes)
    return [item for item in found if isinstance(item, Dataset)] if several else []


def day(dataset: Dataset, keyword: str) -> date | None:
    """A date (PS3.5 6.2, VR DA), also with the points of ACR-NEMA."""
    found = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", text(dataset, keyword))
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def clock(dataset: Dataset, keyword: str) -> time | None:
    """A time (PS3.5 6.2, VR TM), also with the colons of ACR-NEMA. Fractions of a second are left out."""
    found = re.match(r"(\d{2}):?(\d{2})?:?(\d{2})?", text(dataset, keyword))
    hour, minute, second = (int(part or 0) for part in found.groups()) if found else (24, 0, 0)
    try:
        return time(hour, minute, second)
    except ValueError:
        return None
