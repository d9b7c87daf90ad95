"""The rows that a search finds, for lists."""

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from webapp.http.candidates import Candidates, First
from webapp.http.pagination import Merged
from webapp.studies import search
from webapp.studies.choices import FACETS, combinations

#: Largest number of rows that a search without pages shows.
MAX_ROWS = 250
#: Up to this number of matches, all of them are found and sorted by time. If there are more, the rows of the list are
#: read in order instead, and a page gets those that match.
MAX_MATCHES = 10_000


def many_matches(
    matches: search.Matches, rows: Any, owners: list[Q], columns: dict[str, Any], read: set[str]
) -> Candidates:
    """Return the rows that a search finds, if too many match by a field to name each by its id.

    Args:
        matches: the matches.
        rows: the rows of the list.
        owners: conditions on the owners of these rows, one for each owner.
        columns: the values of columns that narrow the list.
        read: the columns that are compared.
    """
    if not matches.are_more_than(MAX_MATCHES):
        return Candidates(rows.filter(reduce(or_, owners)), matches.parts(), sorted(read))
    facets = {name: value for name, value in columns.items() if name in FACETS}
    parts = combinations(facets) if facets else ({},)
    return first_rows(matches.within(rows), owners, read | matches.columns, parts, many=True)


def first_rows(rows: Any, owners: list[Q], read: set[str], combinations: Any = ({},), *, many: bool = False) -> First:
    """Return the rows of a list that are among the first rows of its owners.

    Args:
        rows: the rows of the list.
        owners: conditions on the owners of these rows, one for each owner.
        read: the columns that narrow the list.
        combinations: combinations of values that find the first rows, as for :class:`webapp.http.pagination.Merged`.
        many: whether many of the first rows probably match.
    """
    return First(rows, Merged(rows.model._base_manager.all(), owners, combinations), sorted(read), many=many)


def latest_matches(rows: "QuerySet[Any]", text: str) -> "QuerySet[Any]":
    """Return the rows that a search finds, as a queryset; only the latest if there are many."""
    matches = search.find(rows.model, text)
    if not matches.fields:
        return rows.filter(pk__in=matches.ids)
    candidates = many_matches(matches, rows.model._base_manager.all(), [Q()], {}, {"created_at", "id"})
    return rows.filter(pk__in=candidates.order_by("-created_at", "-id").keys(MAX_ROWS))
