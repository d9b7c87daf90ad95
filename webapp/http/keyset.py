"""Pages of server-rendered lists, newest first. Each is found by an index after the last row of the page before."""

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
    """Some rows, and the query strings of links to other pages.

    Attributes:
        rows: instances of a model with ``created_at``.
        older: query string of the next page; empty on the last page.
        newest: query string of the first page; empty on the first page.
    """

    rows: list[Any]
    older: str
    newest: str


def page(rows: Any, request: HttpRequest) -> Page:
    """The requested page of a queryset or of a :class:`webapp.http.pagination.Merged`.

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
    """Condition for the rows after the one with this key. If that row is gone, the client has to start again."""
    try:
        created_at = model._base_manager.filter(pk=pk).values_list("created_at", flat=True).first()
    except (ValidationError, ValueError, OverflowError):
        created_at = None
    if created_at is None:
        raise Refused("invalid_cursor", "This page is out of date. Please begin with the newest entries.")
    return Q(created_at__lte=created_at) & (Q(created_at__lt=created_at) | Q(pk__lt=pk))


def _link(request: HttpRequest, before: str) -> str:
    parameters = request.GET.copy()
    parameters.pop(PARAMETER, None)
    if before:
        parameters[PARAMETER] = before
    return "?" + parameters.urlencode()
