"""Lists come in pages."""

from collections.abc import Sequence
from heapq import merge
from typing import Any, Self

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from webapp.refusals import Refused


class Merged:
    """Querysets with no row in common, as one list by the time of creation.

    Each queryset reads as many rows as the page has by an index of its own; one query for all of them would sort every
    row that there is. It has what :class:`CursorPages` needs of a queryset.
    """

    def __init__(self, querysets: "Sequence[QuerySet[Any]]", *, newest_first: bool = True) -> None:
        self.querysets = querysets
        self.newest_first = newest_first

    def order_by(self, *fields: str) -> Self:
        ordered = [queryset.order_by(*fields) for queryset in self.querysets]
        return type(self)(ordered, newest_first=fields[0].startswith("-"))

    def filter(self, *conditions: Any, **fields: Any) -> Self:
        filtered = [queryset.filter(*conditions, **fields) for queryset in self.querysets]
        return type(self)(filtered, newest_first=self.newest_first)

    def __getitem__(self, place: slice) -> list[Any]:
        rows = (queryset[: place.stop] for queryset in self.querysets)
        return list(merge(*rows, key=lambda row: (row.created_at, row.pk), reverse=self.newest_first))[place]


class CursorPages(CursorPagination):
    """Pages of 50, or of as many as ``?page_size=`` asks for, by the time of creation.

    A page begins after the last row of the one before, found by an index: the ten-thousandth page costs what the first
    does, and none is shifted by rows that arrive meanwhile.
    """

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return ("created_at", "id") if view.ordering == "created_at" else ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise _invalid_cursor() from None
        if cursor and cursor.position is not None:
            try:
                moment = parse_datetime(str(cursor.position))
            except ValueError:
                moment = None
            if moment is None or moment.tzinfo is None:
                raise _invalid_cursor()
        return cursor


def _invalid_cursor() -> Refused:
    return Refused(
        "invalid_cursor", "The cursor is none of this list's. Please follow the links 'next' and 'previous'."
    )
