"""What a search finds, as lists."""

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from webapp.http.candidates import Candidates, First
from webapp.http.pagination import Merged
from webapp.studies import search
from webapp.studies.choices import FACETS, combinations

#: As many rows as a search shows where it has no pages.
LATEST = 250
#: As many matches are found wherever they are, and sorted by time. Of more, a page has those that are among the next
#: rows of its list.
MOST = 10_000


def many_found(
    found: search.Matches, rows: Any, owners: list[Q], columns: dict[str, Any], read: set[str]
) -> Candidates:
    """Those of some rows that a search finds, by which fields so many match that not all of them are named.

    Args:
        found: the matches.
        rows: those of the list.
        owners: the owners of these.
        columns: values by which they are narrowed.
        read: the columns that are compared.
    """
    if not found.are_more_than(MOST):
        return Candidates(rows.filter(reduce(or_, owners)), found.parts(), sorted(read))
    facets = {name: value for name, value in columns.items() if name in FACETS}
    parts = combinations(facets) if facets else ({},)
    return first_rows(found.within(rows), owners, read | found.columns, parts, many=True)


def first_rows(rows: Any, owners: list[Q], read: set[str], combinations: Any = ({},), *, many: bool = False) -> First:
    """Those of some rows that are among the first ones of all that these owners have.

    Args:
        rows: of a list.
        owners: the owners of these.
        read: the columns that narrow them.
        combinations: of values by which the first ones are found, as for :class:`webapp.http.pagination.Merged`.
        many: whether many of these probably suit.
    """
    return First(rows, Merged(rows.model._base_manager.all(), owners, combinations), sorted(read), many=many)


def latest_found(rows: "QuerySet[Any]", text: str) -> "QuerySet[Any]":
    """Those of some rows that a search finds, as a queryset: of many the latest."""
    found = search.find(rows.model, text)
    if not found.fields:
        return rows.filter(pk__in=found.ids)
    every = many_found(found, rows.model._base_manager.all(), [Q()], {}, {"created_at", "id"})
    return rows.filter(pk__in=every.order_by("-created_at", "-id").keys(LATEST))
