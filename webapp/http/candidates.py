"""Lists whose rows are found by an index that is not in the order of time."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from webapp.http.pagination import TIME, Merged, first_keys
from webapp.http.parts import Statement, combined_into_one, read_keys


class Candidates:
    """A queryset sorted by time of creation. A subquery first finds candidates, which are then filtered and sorted.

    Given everything in one query, a database has to guess which is cheaper: to find these rows and sort them, or to
    scan the list in its order until it has met enough of them. If names are correlated with time it guesses wrong and
    scans for seconds. The LIMIT of the subquery leaves it no choice.
    """

    #: More rows than any part has, so that each part is read as a whole.
    limit = 1_000_000_000

    def __init__(
        self, queryset: "QuerySet[Any]", parts: "Iterable[QuerySet[Any]]", columns: Sequence[str] | None = None
    ) -> None:
        """
        Args:
            queryset: its conditions use only ``columns`` or other tables.
            parts: the candidates, in disjoint parts.
            columns: the columns that are read of the candidates, so that an index with these is enough; None for all.
        """
        self.queryset = queryset
        self.parts = list(parts)
        self.columns = columns

    def order_by(self, *fields: str) -> Self:
        return type(self)(self.queryset.order_by(*fields), self.parts, self.columns)

    def filter(self, *conditions: Any, **fields: Any) -> Self:
        return type(self)(self.queryset.filter(*conditions, **fields), self.parts, self.columns)

    def __getitem__(self, place: slice) -> list[Any]:
        return list(self.queryset.filter(pk__in=self.keys(place.stop)[place]))

    def keys(self, number: int) -> list[Any]:
        """The keys of the first rows."""
        return self._keys(number, self.limit)

    def _keys(self, number: int, limit: int) -> list[Any]:
        model = self.queryset.model
        union, union_params = self._union(limit)
        try:
            sql, params = self.queryset.values_list(TIME, "id")[:number].query.sql_with_params()
        except EmptyResultSet:
            return []
        if not union:
            return []
        # The candidates get the table's own name, so that the conditions apply to them.
        table = connection.ops.quote_name(model._meta.db_table)
        start, _, rest = sql.partition(f" FROM {table}")
        return read_keys(model, f"{start} FROM ({union}) AS {table}{rest}", [*union_params, *params])

    def _union(self, limit: int) -> Statement:
        """The statement that finds the candidates, and its parameters; empty if there can be none."""
        names = self.columns or [field.attname for field in self.queryset.model._meta.concrete_fields]
        parts: list[tuple[str, Any]] = []
        for part in self.parts:
            with suppress(EmptyResultSet):
                parts.append(part.values_list(*names)[:limit].query.sql_with_params())
        return combined_into_one(parts)


class First(Candidates):
    """Candidates that are the first rows of a list. A page ends where they end, and the next one continues there."""

    limit = 1000
    #: If many rows probably match, the first query examines this many times the requested number of rows.
    ahead = 4

    def __init__(self, queryset: "QuerySet[Any]", rows: Merged, columns: Sequence[str], *, many: bool = False) -> None:
        """
        Args:
            queryset: its conditions use only ``columns`` or other tables.
            rows: the list.
            columns: the columns that are read of its first rows.
            many: whether many of these rows probably match.
        """
        super().__init__(queryset, (), columns)
        self.rows = rows
        self.many = many

    def order_by(self, *fields: str) -> Self:
        return self._with(self.queryset.order_by(*fields), self.rows.order_by(*fields))

    def filter(self, *conditions: Any, **fields: Any) -> Self:
        return self._with(self.queryset.filter(*conditions, **fields), self.rows.filter(*conditions, **fields))

    def _with(self, queryset: "QuerySet[Any]", rows: Merged) -> Self:
        return type(self)(queryset, rows, self.columns or (), many=self.many)

    def keys(self, number: int) -> list[Any]:
        ahead = number * self.ahead
        if self.many and ahead < self.limit:
            found = self._keys(number, ahead)
            if len(found) == number:
                return found
        return self._keys(number, self.limit)

    def end(self) -> Any:
        """The last row that is examined, with its time; None if the list has no rows beyond it."""
        union, params = combined_into_one(self.rows.parts(self.limit, TIME, "id"))
        if not union:
            return None
        sql = f"SELECT {TIME}, id FROM ({union}) AS merged {self._order()} LIMIT 1 OFFSET %s"  # noqa: S608  (Django's own SQL; values are apart)
        return next(iter(self.queryset.model._base_manager.raw(sql, [*params, self.limit - 1])), None)

    def _union(self, limit: int) -> Statement:
        parts = self.rows.parts(limit, *self.columns or ())
        union, params = combined_into_one(parts)
        if len(parts) > 1:
            union = f"SELECT * FROM ({union}) AS merged {self._order()} LIMIT %s"  # noqa: S608  (Django's own SQL; values are apart)
            params = [*params, limit]
        return union, params

    def _order(self) -> str:
        sign = "DESC" if str(self.queryset.query.order_by[0]).startswith("-") else "ASC"
        return f"ORDER BY {TIME} {sign}, id {sign}"


@dataclass(frozen=True)
class Either:
    """A queryset that looks for its first rows among the first rows of a list, and only then in another way.

    If many rows match, the first rows of the list contain enough of them. If few match, or they come late in the list,
    the other way examines fewer rows.
    """

    first: First
    every: Any

    def order_by(self, *fields: str) -> "Either":
        return Either(self.first.order_by(*fields), self.every.order_by(*fields))

    def filter(self, *conditions: Any, **fields: Any) -> "Either":
        return Either(self.first.filter(*conditions, **fields), self.every.filter(*conditions, **fields))

    def __getitem__(self, place: slice) -> list[Any]:
        return list(self.first.queryset.filter(pk__in=self.keys(place.stop)[place]))

    def keys(self, number: int) -> list[Any]:
        """The keys of the first rows."""
        near = self.first.keys(number)
        return near if len(near) == number else first_keys(self.every, number)
