"""Read the values of a data set's elements, whatever type a file gives them.

pydicom converts an element on first access, and raises many kinds of errors for a damaged one. These functions treat a
damaged element as missing.
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
    """Tag for a look-up in a data set, cached because making it takes longer than the look-up."""
    tag = tag_for_keyword(keyword)
    return None if tag is None else Tag(tag)


def value(dataset: Dataset, keyword: str) -> Any:
    """An element's value; None if it is missing, empty or damaged.

    If the value representation is unknown or wrong, the one in the data dictionary (PS3.6) is used.
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
    """The value, or the first one of several."""
    found = value(dataset, keyword)
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return found[0] if len(found) else None
    return found


def text(dataset: Dataset, keyword: str) -> str:
    """The value as text in one line; empty without a value."""
    found = first(dataset, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", errors="replace")
    return "" if found is None else CONTROLS.sub(" ", str(found)).strip()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The value as a finite number; None without one."""
    return as_number(first(dataset, keyword))


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values that are finite numbers."""
    found = value(dataset, keyword)
    values = found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else [found]
    return [converted for item in values if (converted := as_number(item)) is not None]


def as_number(content: Any) -> float | None:
    try:
        converted = float(content)
    except (TypeError, ValueError, OverflowError):
        return None
    return converted if abs(converted) < float("inf") else None


def integer(dataset: Dataset, keyword: str, otherwise: int = 0) -> int:
    """The value as an integer; ``otherwise`` without one."""
    found = number(dataset, keyword)
    return otherwise if found is None else int(found)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if the element is missing or not a sequence."""
    found = value(dataset, keyword)
    is_list = isinstance(found, Sequence) and not isinstance(found, str | bytes)
    return [item for item in found if isinstance(item, Dataset)] if is_list else []


def day(dataset: Dataset, keyword: str) -> date | None:
    """The value as a date (PS3.5 6.2, VR DA), also with the dots of ACR-NEMA; None if it is invalid."""
    found = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", text(dataset, keyword))
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def clock(dataset: Dataset, keyword: str) -> time | None:
    """The value as a time (PS3.5 6.2, VR TM), also with the colons of ACR-NEMA; None if it is invalid.

    Fractions of a second are left out.
    """
    found = re.match(r"(\d{2}):?(\d{2})?:?(\d{2})?", text(dataset, keyword))
    hour, minute, second = (int(part or 0) for part in found.groups()) if found else (24, 0, 0)
    try:
        return time(hour, minute, second)
    except ValueError:
        return None
