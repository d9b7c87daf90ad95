"""Lists come in pages."""

import re
from collections.abc import Sequence
from heapq import merge
from typing import Any, Self

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

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


class CursorPages(CursorPagination):
    """Pages of 50, or of as many as ``?page_size=`` asks for, by the time of creation.

    A page begins after the last row of the one before, found by an index: the ten-thousandth page costs what the first
    does, and none is shifted by rows that arrive meanwhile.
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

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return ("created_at", "id") if view.ordering == "created_at" else ("-created_at", "-id")

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("page_size")
        if given is None:
            return self.page_size
        if not re.fullmatch(r"0*[1-9][0-9]{0,99}", given):
            raise Refused("invalid_parameter", f"The parameter 'page_size' is a number from 1 to {self.max_page_size}.")
        return min(int(given), self.max_page_size)

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
