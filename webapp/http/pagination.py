"""Lists come in pages."""

from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from webapp.refusals import Refused


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
