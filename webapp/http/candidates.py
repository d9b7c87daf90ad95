"""Lists whose rows an index finds in another order than that of time."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from webapp.http.pagination import TIME, Merged, first_keys
from webapp.http.parts import Statement, read_keys, together


class Candidates:
    """A queryset by the time of creation, among rows that are found first, and then narrowed and sorted.

    Asked for all at once, a database has to guess what is cheaper: to find these rows and sort them, or to walk along
    the list in its order until enough of them have come. Where names follow the time it guesses wrong, and walks for
    seconds. The limit of the subquery keeps it from both.
    """

    #: More rows than a part has, so that it is read as a whole.
    limit = 1_000_000_000

    def __init__(
        self, queryset: "QuerySet[Any]", parts: "Iterable[QuerySet[Any]]", columns: Sequence[str] | None = None
    ) -> None:
        """
        Args:
            queryset: all that it narrows by is in ``columns``, or in other tables.
            parts: the candidates, each in one part only.
            columns: those that are read of the candidates, so that an index which has them is enough; None for all.
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
        union, given = self._union(limit)
        try:
            sql, params = self.queryset.values_list(TIME, "id")[:number].query.sql_with_params()
        except EmptyResultSet:
            return []
        if not union:
            return []
        # Under the table's own name, so that the conditions are about them.
        table = connection.ops.quote_name(model._meta.db_table)
        start, _, rest = sql.partition(f" FROM {table}")
        return read_keys(model, f"{start} FROM ({union}) AS {table}{rest}", [*given, *params])

    def _union(self, limit: int) -> Statement:
        """The statement that finds the candidates, and its parameters; empty where there can be none."""
        names = self.columns or [one.attname for one in self.queryset.model._meta.concrete_fields]
        parts: list[tuple[str, Any]] = []
        for part in self.parts:
            with suppress(EmptyResultSet):
                parts.append(part.values_list(*names)[:limit].query.sql_with_params())
        return together(parts)


class First(Candidates):
    """The same among the first rows of a list. A page of it ends where these do, so the next one goes on from there."""

    limit = 1000
    #: Where many rows suit, so many times as many as are wanted are looked at first.
    ahead = 4

    def __init__(self, queryset: "QuerySet[Any]", rows: Merged, columns: Sequence[str], *, many: bool = False) -> None:
        """
        Args:
            queryset: all that it narrows by is in ``columns``, or in other tables.
            rows: the list.
            columns: those that are read of its first rows.
            many: whether many of these probably suit.
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
        """The last row that is looked at, with its time; None where the list has no further ones."""
        union, given = together(self.rows.parts(self.limit, TIME, "id"))
        if not union:
            return None
        sql = f"SELECT {TIME}, id FROM ({union}) AS merged {self._order()} LIMIT 1 OFFSET %s"  # noqa: S608  (Django's own SQL; values are apart)
        return next(iter(self.queryset.model._base_manager.raw(sql, [*given, self.limit - 1])), None)

    def _union(self, limit: int) -> Statement:
        parts = self.rows.parts(limit, *self.columns or ())
        union, given = together(parts)
        if len(parts) > 1:
            union = f"SELECT * FROM ({union}) AS merged {self._order()} LIMIT %s"  # noqa: S608  (Django's own SQL; values are apart)
            given = [*given, limit]
        return union, given

    def _order(self) -> str:
        sign = "DESC" if str(self.queryset.query.order_by[0]).startswith("-") else "ASC"
        return f"ORDER BY {TIME} {sign}, id {sign}"


@dataclass(frozen=True)
class Either:
    """A queryset whose first rows are looked for among the first rows of a list, and only then in another way.

    Where many rows suit, enough of them are soon met in the order of the list; where they are few or far, others are
    fewer than the rows on the way.
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
