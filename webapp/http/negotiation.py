"""Content negotiation: the media type of a response."""

from collections.abc import Iterable
from typing import Any

from django.http import Http404
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AnyAccept(DefaultContentNegotiation):
    """Falls back to the first renderer if none matches ``Accept``. RFC 9110 allows this. Otherwise a client that
    requests a table as ``text/csv`` or a picture as ``image/png`` would be refused.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        offered = list(renderers)
        try:
            return super().select_renderer(request, offered, format_suffix)
        except (NotAcceptable, Http404):
            return offered[0], offered[0].media_type
