"""Turn the query of a search (PS3.18 8.3.4) into conditions for images."""

import re
from calendar import monthrange
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from django.db.models import Q
from django.http import QueryDict

from webapp.dicom.models import ResultObject
from webapp.dicom.web.attributes import ATTRIBUTES, BY_NAME, LEVELS, Attribute
from webapp.refusals import Refused

#: Number of results in a response: the default, and the maximum.
USUAL_RESULTS, MOST_RESULTS = 100, 1000
#: Largest offset: finding results takes longer with each skipped one.
MOST_OFFSET = 100_000
#: Largest number of UIDs in a list, and of characters in a value.
MOST_UIDS, LONGEST = 100, 100
#: Largest number of ``*`` in a text. With each, a regular expression may take many times as long, and with SQLite it
#: holds up the whole process.
MOST_STARS = 3
UID = r"[0-9][0-9.]{0,63}"


@dataclass
class Search:
    """A parsed search.

    Attributes:
        condition: the condition for images.
        of_results: the condition for objects made from their results.
        included: attributes that were requested in addition.
        fuzzy: whether fuzzy matching was requested, which is not supported.
    """

    condition: Q = field(default_factory=Q)
    of_results: Q = field(default_factory=Q)
    included: set[Attribute] = field(default_factory=set)
    limit: int = USUAL_RESULTS
    offset: int = 0
    fuzzy: bool = False


def parse(query: QueryDict, level: str) -> Search:
    """Parse the query of a search.

    Args:
        query: the query of the request.
        level: the level of the search. Only attributes of this level and of higher levels can be matched.

    Raises:
        Refused: ``unknown_parameter`` or ``invalid_parameter``.
    """
    search = Search()
    comparable = LEVELS[: LEVELS.index(level) + 1]
    for name, values in query.lists():
        match name:
            case "limit":
                # A larger limit is no error: the response warns that there are more results.
                search.limit = min(_number(name, values), MOST_RESULTS)
            case "offset":
                search.offset = _number(name, values)
                if search.offset > MOST_OFFSET:
                    raise Refused("invalid_parameter", f"The offset may be at most {MOST_OFFSET}.")
            case "fuzzymatching":
                search.fuzzy = values[-1].lower() == "true"
            case "includefield":
                search.included |= {one for one in _included(values) if one.level in comparable}
            case _:
                attribute = _attribute(name, comparable)
                for value in values:
                    condition, of_results = _conditions(attribute, value)
                    search.condition &= condition
                    search.of_results &= of_results
    return search


def _number(name: str, values: list[str]) -> int:
    if len(values) != 1 or not re.fullmatch(r"[0-9]{1,9}", values[0]):
        raise Refused("invalid_parameter", f"{name} is a whole number.")
    return int(values[0])


def _included(values: list[str]) -> set[Attribute]:
    names = [name.strip() for value in values for name in value.split(",")]
    if "all" in names:
        return set(ATTRIBUTES)
    # Attributes that are only in the file cannot be included, which is no error (PS3.18 8.3.4.3).
    return {BY_NAME[name] for name in names if name in BY_NAME}


def _attribute(name: str, levels: Collection[str]) -> Attribute:
    attribute = BY_NAME.get(name if name in BY_NAME else name.upper())
    if attribute is None or attribute.level not in levels:
        searchable = ", ".join(one.keyword for one in ATTRIBUTES if one.level in levels)
        raise Refused(
            "unknown_parameter", f"{name[:LONGEST]} is not a supported search attribute. Supported are: {searchable}."
        )
    return attribute


def _conditions(attribute: Attribute, value: str) -> tuple[Q, Q]:
    """The condition of an attribute for images, and the one for objects made from their results."""
    if len(value) > LONGEST and attribute.vr != "UI":
        raise _invalid(attribute)
    if not value.strip():
        return Q(), Q()  # an empty value matches everything
    compare = COMPARISONS.get(attribute.vr, _text)
    try:
        of_image = compare(attribute.path, value.strip())
    except ValueError:
        raise _invalid(attribute) from None
    of_result = compare(attribute.of_result, value.strip()) if attribute.of_result else Q(pk__in=[])
    if attribute.keyword == "ModalitiesInStudy":  # matches an image by its result's modality too, and vice versa
        matched = compare("modality", value.strip())
        return of_image | Q(pk__in=ResultObject.objects.filter(matched).values("image")), of_result | matched
    return of_image, of_result


def _invalid(attribute: Attribute) -> Refused:
    expected = {
        "UI": f"one UID, or at most {MOST_UIDS} with commas between them",
        "DA": "a date, such as 20240131, or two with a hyphen between them, one of which may be missing",
        "TM": "a time, such as 1430, or two with a hyphen between them, one of which may be missing",
        "IS": "a whole number",
        "US": "a whole number",
    }.get(attribute.vr, f"a text of at most {LONGEST} characters and {MOST_STARS} asterisks")
    return Refused("invalid_parameter", f"{attribute.keyword} is {expected}.")


def _uids(path: str, value: str) -> Q:
    uids = re.split(r"[,\\]", value)
    if len(uids) > MOST_UIDS or not all(re.fullmatch(UID, uid) for uid in uids):
        raise ValueError
    return Q(**{f"{path}__in": uids})


def _integer(path: str, value: str) -> Q:
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", value):
        raise ValueError
    return Q(**{path: int(value)})


def _range(path: str, value: str, read: Any) -> Q:
    """The condition of a single value, or of a range with a hyphen, which is open if a side is empty."""
    first, hyphen, last = value.partition("-")
    condition = Q()
    if first:
        condition &= Q(**{f"{path}__gte": read(first)[0]})
    if last or not hyphen:
        condition &= Q(**{f"{path}__lte": read(last or first)[1]})
    if not (first or last):
        raise ValueError
    return condition


def _day(text: str) -> tuple[date, date]:
    """The first and the last day of a date, a month or a year."""
    if not (match := re.fullmatch(r"(\d{4})(?:(\d{2})(\d{2})?)?", text)):
        raise ValueError
    year, month, day = (int(part) if part else 0 for part in match.groups())
    last_month = month or 12
    end = day or monthrange(year, last_month)[1]
    return date(year, month or 1, day or 1), date(year, last_month, end)


def _clock(text: str) -> tuple[time, time]:
    """The first and the last second of a time, a minute or an hour. Times are stored in whole seconds."""
    if not (match := re.fullmatch(r"(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,6})?)?)?", text)):
        raise ValueError
    hour, minute, second = match.groups()
    begin = time(int(hour), int(minute or 0), int(second or 0))
    return begin, time(int(hour), int(minute or 59), int(second or 59))


def _text(path: str, value: str, ignores_case: str = "") -> Q:
    """The condition of a text, in which ``*`` stands for any characters and ``?`` for one."""
    beginning = value.removesuffix("*")
    if not re.search(r"[*?]", beginning):
        lookup = f"{ignores_case}exact" if beginning == value else f"{ignores_case}startswith"
        return Q(**{f"{path}__{lookup}": beginning})
    literals, wildcards = re.split(r"[*?]+", value), re.findall(r"[*?]+", value)
    if sum("*" in run for run in wildcards) > MOST_STARS:
        raise ValueError
    # Wildcards that follow each other become one piece, which is matched in one way only.
    pieces = [f".{{{run.count('?')}{',' * ('*' in run)}}}" for run in wildcards]
    pattern = "".join(re.escape(text) + piece for text, piece in zip(literals, [*pieces, ""], strict=True))
    return Q(**{f"{path}__{ignores_case}regex": f"^{pattern}$"})


def _name(path: str, value: str) -> Q:
    """The condition of a person's name, which is stored as ``family, given middle``."""
    family, caret, given = value.rstrip("^").partition("^")
    return _text(path, f"{family}, {given.replace('^', ' ')}" if caret else family, "i")


COMPARISONS: dict[str, Callable[[str, str], Q]] = {
    "UI": _uids,
    "IS": _integer,
    "US": _integer,
    "DA": lambda path, value: _range(path, value, _day),
    "TM": lambda path, value: _range(path, value, _clock),
    "PN": _name,
}
