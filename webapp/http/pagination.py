"""Lists come in pages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from webapp.refusals import Refused


class Merged:
    """A queryset by the time of creation, found in parts that have no row in common, each by an index of its own.

    One query for all parts would sort every row that there is. It has what :class:`CursorPages` needs of a queryset.
    """

    def __init__(self, queryset: "QuerySet[Any]", parts: Sequence[Q], *, newest_first: bool = True) -> None:
        self.queryset = queryset
        self.parts = parts
        self.newest_first = newest_first

    def order_by(self, *fields: str) -> Self:
        return type(self)(self.queryset.order_by(*fields), self.parts, newest_first=fields[0].startswith("-"))

    def filter(self, *conditions: Any, **fields: Any) -> Self:
        return type(self)(self.queryset.filter(*conditions, **fields), self.parts, newest_first=self.newest_first)

    def __getitem__(self, place: slice) -> list[Any]:
        keys = (self.queryset.filter(part).values_list("created_at", "pk")[: place.stop] for part in self.parts)
        page = list(merge(*keys, reverse=self.newest_first))[place]
        return list(self.queryset.filter(pk__in=[pk for _, pk in page]))


@dataclass(frozen=True)
class Place:
    """The row that a page begins after; no other row has the same time and key."""

    moment: datetime
    pk: UUID
    backwards: bool = False

    def encoded(self) -> str:
        text = urlencode({"p": self.moment.isoformat(), "id": self.pk, **({"r": 1} if self.backwards else {})})
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def decoded(cls, text: str) -> "Place":
        """Raises ValueError, KeyError or OverflowError where it is none."""
        fields = dict(parse_qsl(urlsafe_b64decode(text.encode("ascii")).decode("ascii")))
        moment = datetime.fromisoformat(fields["p"])
        if moment.tzinfo is None:
            raise ValueError(text)
        return cls(moment.astimezone(UTC), UUID(fields["id"]), "r" in fields)

    def beyond(self, *, descending: bool) -> Q:
        """Condition for the rows after this one; the time comes first, for the index."""
        sign = "lt" if descending else "gt"
        later = Q(**{f"created_at__{sign}": self.moment}) | Q(**{f"pk__{sign}": self.pk})
        return Q(**{f"created_at__{sign}e": self.moment}) & later


class CursorPages(CursorPagination):
    """Pages of 50, or of as many as ``?page_size=`` asks for, by the time of creation.

    A page begins after the last row of the one before, found by an index: the ten-thousandth page costs what the first
    does, and none is shifted by rows that arrive meanwhile. REST Framework's own count rows of the same time from the
    beginning, and repeat some where others arrive.
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
        size, place = self.get_page_size(request), _place(request)
        backwards = place is not None and place.backwards
        descending = (view.ordering != "created_at") != backwards
        queryset = queryset.order_by(*(("-created_at", "-id") if descending else ("created_at", "id")))
        if place:
            queryset = queryset.filter(place.beyond(descending=descending))
        found = list(queryset[: size + 1])
        rows, more = found[:size], len(found) > size
        if backwards:
            rows.reverse()
        after, before = (True, more) if backwards else (more, place is not None)
        url = request.build_absolute_uri()
        self.next_link = self._link(url, rows[-1], backwards=False) if rows and after else None
        self.previous_link = self._link(url, rows[0], backwards=True) if rows and before else None
        return rows

    def _link(self, url: str, row: Any, *, backwards: bool) -> str:
        return replace_query_param(url, self.cursor_query_param, Place(row.created_at, row.pk, backwards).encoded())

    def get_next_link(self) -> str | None:
        return self.next_link

    def get_previous_link(self) -> str | None:
        return self.previous_link

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("page_size")
        if given is None:
            return self.page_size
        if not re.fullmatch(r"0*[1-9][0-9]{0,99}", given):
            raise Refused("invalid_parameter", f"The parameter 'page_size' is a number from 1 to {self.max_page_size}.")
        return min(int(given), self.max_page_size)


def _place(request: Request) -> Place | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        return Place.decoded(text)
    except (ValueError, KeyError, OverflowError):
        raise Refused(
            "invalid_cursor", "The cursor is none of this list's. Please follow the links 'next' and 'previous'."
        ) from None
