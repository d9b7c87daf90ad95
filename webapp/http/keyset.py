"""Pages of server-rendered lists: the newest first, each found by an index after the last row of the one before."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest

from webapp.refusals import Refused

SIZE = 25
PARAMETER = "before"


@dataclass(frozen=True)
class Page:
    """Some rows, and the query strings of the links to others.

    Attributes:
        rows: of a model with ``created_at``.
        older: of the next page; empty on the last one.
        newest: of the first page; empty on it.
    """

    rows: list[Any]
    older: str
    newest: str


def page(rows: Any, request: HttpRequest) -> Page:
    """The page of a queryset, or of :class:`webapp.http.pagination.Merged`, that a request asks for.

    Raises:
        Refused: ``invalid_cursor``.
    """
    before = request.GET.get(PARAMETER, "")
    rows = rows.order_by("-created_at", "-pk")
    if before:
        rows = rows.filter(_before(getattr(rows, "queryset", rows).model, before))
    found = list(rows[: SIZE + 1])
    shown = found[:SIZE]
    return Page(
        shown,
        older=_link(request, str(shown[-1].pk)) if len(found) > SIZE else "",
        newest=_link(request, "") if before else "",
    )


def _before(model: Any, pk: str) -> Q:
    """The rows after the one with a key. If that row is gone, the client has to start again."""
    try:
        moment = model._base_manager.filter(pk=pk).values_list("created_at", flat=True).first()
    except (ValidationError, ValueError, OverflowError):
        moment = None
    if moment is None:
        raise Refused("invalid_cursor", "This page is out of date. Please begin with the newest entries.")
    return Q(created_at__lte=moment) & (Q(created_at__lt=moment) | Q(pk__lt=pk))


def _link(request: HttpRequest, before: str) -> str:
    parameters = request.GET.copy()
    parameters.pop(PARAMETER, None)
    if before:
        parameters[PARAMETER] = before
    return "?" + parameters.urlencode()
