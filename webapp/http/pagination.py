"""Pagination of lists."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from webapp.http.parts import Slot, fill_slots, group_owners, read_keys
from webapp.http.walks import Walks
from webapp.refusals import Refused

#: The column that lists are sorted by unless another is requested.
TIME = "created_at"


class Rows(Protocol):
    """The methods of a queryset that :func:`read_page` uses. Other classes have them and find rows in other ways."""

    def order_by(self, *fields: str) -> Self: ...

    def filter(self, *conditions: Any, **fields: Any) -> Self: ...

    def __getitem__(self, place: slice, /) -> Any: ...


class Merged:
    """A queryset sorted by time of creation that is read in disjoint parts, each through its own index.

    A single scan of all parts would read or sort every row.
    """

    def __init__(
        self, queryset: "QuerySet[Any]", owners: Sequence[Q], combinations: Sequence[Mapping[str, Any]] = ({},)
    ) -> None:
        """There is a part for each pair of an owner and a combination of values by column."""
        self.queryset = queryset
        self.owners = owners
        self.combinations = combinations

    def order_by(self, *fields: str) -> Self:
        return type(self)(self.queryset.order_by(*fields), self.owners, self.combinations)

    def filter(self, *conditions: Any, **fields: Any) -> Self:
        return type(self)(self.queryset.filter(*conditions, **fields), self.owners, self.combinations)

    def __getitem__(self, place: slice) -> list[Any]:
        return list(self.queryset.filter(pk__in=self.keys(place.stop)[place]))

    def keys(self, number: int) -> list[Any]:
        """The keys of the first rows."""
        sign = "DESC" if str(self.queryset.query.order_by[0]).startswith("-") else "ASC"
        columns = next(iter(self.combinations), ())
        walks = Walks(self.queryset.model, lambda: self.queryset, self.owners, columns)
        union, params = walks.first(number, dict(enumerate(self.combinations)))
        if not union:
            return []
        sql = f"SELECT id FROM ({union}) AS merged ORDER BY {TIME} {sign}, id {sign} LIMIT %s"  # noqa: S608  (Django's own SQL; values are apart)
        return read_keys(self.queryset.model, sql, [*params, number])

    def parts(self, number: int, *columns: str) -> list[tuple[str, list[Any]]]:
        """The statements that select some columns of the first rows of each part, with their parameters.

        Django would take longer to build one for each part than the database takes to run them all, so it builds one
        for each kind of owner.
        """
        parts: list[tuple[str, list[Any]]] = []
        slots = {name: Slot(name) for values in self.combinations[:1] for name in values}
        for owner, owner_values in group_owners(self.owners, self.queryset.model) if self.combinations else ():
            keys = self.queryset.filter(owner, **slots).values_list(*(columns or (TIME, "id")))[:number]
            try:
                sql, params = keys.query.sql_with_params()
            except EmptyResultSet:
                continue
            slot_values = ({**owner_value, **values} for owner_value in owner_values for values in self.combinations)
            parts.extend((sql, fill_slots(params, values)) for values in slot_values)
        return parts


def first_keys(rows: Any, number: int) -> list[Any]:
    """The keys of the first rows of a queryset, or of an object that acts as one."""
    if isinstance(rows, QuerySet):
        return list(rows.values_list("pk", flat=True)[:number])
    keys: list[Any] = rows.keys(number)
    return keys


@dataclass(frozen=True)
class Place:
    """The row that a page begins after, identified by its value and key.

    Attributes:
        value: the row's value of the column that the list is sorted by: a time or a number.
    """

    value: datetime | float
    pk: UUID
    backwards: bool = False

    def encoded(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else repr(self.value)
        name = "p" if isinstance(self.value, datetime) else "n"
        text = urlencode({name: value, "id": self.pk, **({"r": 1} if self.backwards else {})})
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def decoded(cls, text: str, column: str) -> "Place":
        """Decode a cursor. Raise ValueError, KeyError or OverflowError if it does not belong to a list that is sorted
        by this column.
        """
        fields = dict(parse_qsl(urlsafe_b64decode(text.encode("ascii")).decode("ascii")))
        pk, backwards = UUID(fields["id"]), "r" in fields
        if column != TIME:
            number = float(fields["n"])
            if not isfinite(number):
                raise ValueError(text)
            return cls(number, pk, backwards)
        moment = datetime.fromisoformat(fields["p"])
        if moment.tzinfo is None:
            raise ValueError(text)
        return cls(moment.astimezone(UTC), pk, backwards)

    def beyond(self, column: str, *, descending: bool) -> Q:
        """Condition for the rows after this one. It compares the value first, so that the index is used."""
        sign = "lt" if descending else "gt"
        later = Q(**{f"{column}__{sign}": self.value}) | Q(**{f"pk__{sign}": self.pk})
        return Q(**{f"{column}__{sign}e": self.value}) & later


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the places where the next and the previous page begin, if those exist.

    Attributes:
        end: the last row that was examined, if the page has room for more rows but further rows were not examined; see
            :class:`webapp.http.candidates.First`.
    """

    rows: list[Any]
    next: Place | None
    previous: Place | None
    end: Any = None


def read_page(rows: Rows, ordering: str, size: int, cursor: str | None) -> Page:
    """Read a page of a list.

    A page begins after the last row of the page before, which is found by an index. So the ten-thousandth page costs as
    much as the first, and rows that arrive meanwhile do not shift a page.

    Args:
        rows: the whole list.
        ordering: the column to sort by, and then by key; a leading ``-`` reverses the order.
        size: largest number of rows.
        cursor: :meth:`Place.encoded` of the row that the page begins after; None for the first page.

    Raises:
        Refused: ``invalid_cursor``.
    """
    column = ordering.removeprefix("-")
    place = _place(cursor, column)
    backwards = place is not None and place.backwards
    descending = ordering.startswith("-") != backwards
    sign = "-" if descending else ""
    ordered = rows.order_by(f"{sign}{column}", f"{sign}id")
    if place:
        ordered = ordered.filter(place.beyond(column, descending=descending))
    found = list(ordered[: size + 1])
    more = len(found) > size
    end = None if more or not hasattr(ordered, "end") else ordered.end()
    # The rows after which the neighbouring pages begin, in the direction in which this page is read.
    further = found[size - 1] if more else end
    back = (found[0] if found else end) if place else None
    after, before = (back, further) if backwards else (further, back)
    return Page(
        found[:size][::-1] if backwards else found[:size],
        Place(getattr(after, column), after.pk) if after else None,
        Place(getattr(before, column), before.pk, backwards=True) if before else None,
        end,
    )


def _place(cursor: str | None, column: str) -> Place | None:
    if cursor is None:
        return None
    try:
        return Place.decoded(cursor, column)
    except (ValueError, KeyError, OverflowError):
        raise Refused(
            "invalid_cursor", "The cursor does not belong to this list. Please follow the links 'next' and 'previous'."
        ) from None


class CursorPages(CursorPagination):
    """Pages of 50 rows, or of ``?page_size=`` rows, in the order of the view's ``ordering``.

    REST Framework's own pages skip rows with equal times by counting, and so repeat some rows when others arrive.
    """

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def get_schema_operation_parameters(self, view: Any) -> Any:
        cursor, page_size = super().get_schema_operation_parameters(view)
        cursor["description"] = "from the links `next` and `previous`"
        cursor["schema"]["format"] = "cursor"
        page_size["schema"] |= {"minimum": 1, "default": self.page_size}
        return [cursor, page_size]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        size, cursor = self.get_page_size(request), request.query_params.get(self.cursor_query_param)
        self.found = read_page(queryset, view.ordering, size, cursor)
        self.url = request.build_absolute_uri()
        return self.found.rows

    def _link(self, place: Place | None) -> str | None:
        return replace_query_param(self.url, self.cursor_query_param, place.encoded()) if place else None

    def get_next_link(self) -> str | None:
        return self._link(self.found.next)

    def get_previous_link(self) -> str | None:
        return self._link(self.found.previous)

    def get_page_size(self, request: Request) -> int:
        requested = request.query_params.get("page_size")
        if requested is None:
            return self.page_size
        if not re.fullmatch(r"0*[1-9][0-9]{0,99}", requested):
            raise Refused(
                "invalid_parameter", f"The parameter 'page_size' must be a number from 1 to {self.max_page_size}."
            )
        return min(int(requested), self.max_page_size)
