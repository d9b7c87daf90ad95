"""Statements that find the first rows of each of many parts of a table, by a short walk along an index for each."""

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from functools import cached_property
from itertools import chain
from string import Formatter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import IntegerField, Model, Q, QuerySet

from webapp.http.parts import Slot, Statement, by_kind, filled, together

#: Parts of a table by their numbers, as values by column.
Parts = Mapping[int, Mapping[str, Any]]
#: The slot for a part's number.
PART = "part"
#: How a database repeats a statement for each row of the tables before it. MariaDB cannot.
REPEATED = {
    "postgresql": "SELECT found.* FROM {parts} CROSS JOIN {owners} CROSS JOIN LATERAL ({walk}) AS found",
    "sqlite": (
        "SELECT part.column1 AS part, json_extract(found.value, '$[0]') AS created_at, "
        "json_extract(found.value, '$[1]') AS id FROM {parts} CROSS JOIN {owners} CROSS JOIN "
        "json_each((SELECT json_group_array(json_array(created_at, id)) FROM ({walk}))) AS found"
    ),
}
#: How it counts them. PostgreSQL stops at the owner who makes a part full.
COUNTED = {
    "postgresql": (
        "SELECT part.column1 AS part, (SELECT COUNT(*) FROM (SELECT 1 FROM {owners} CROSS JOIN LATERAL ({walk}) "
        "AS found LIMIT {number}) AS counted) FROM {parts}"
    ),
    "sqlite": (
        "SELECT part.column1 AS part, SUM((SELECT COUNT(*) FROM ({walk}) AS found)) FROM {parts} CROSS JOIN {owners} "
        "GROUP BY part.column1"
    ),
}


class Walks:
    """The parts of a table: one for each owner and each of some combinations of values.

    A statement has one walk, which the database repeats for each owner and combination: with hundreds of walks in its
    text, sending and planning it takes longer than running it.
    """

    def __init__(
        self,
        model: type[Model],
        rows: "Callable[[], QuerySet[Any]]",
        owners: Sequence[Q],
        columns: Iterable[str],
        slots: Iterable[str] = (),
        written: MutableMapping[Any, Statement] | None = None,
    ) -> None:
        """
        Args:
            model: the table's.
            rows: makes those of all parts, in the order of the walks.
            owners: conditions that no row has in common.
            columns: by whose values the parts differ.
            slots: the names of slots in the rows; each part has a value for them, as the database takes it.
            written: statements of these rows by kind of owner, which are written once: Django takes longer to write one
                than a database to run it.
        """
        self.model = model
        self.rows = rows
        self.owners = owners
        self.columns = list(columns)
        self.slots = [*self.columns, *slots]
        self.written = {} if written is None else written

    def first(self, number: int, parts: Parts) -> Statement:
        """The statement that finds ``part``, ``created_at`` and ``id`` of the first rows of each part and owner; empty
        where there are none.
        """
        if connection.vendor in REPEATED:
            return together(self._repeated(REPEATED[connection.vendor], number, parts))
        return together([
            (f"{sql} LIMIT {number}", filled(params, {PART: part, **owner, **values}))
            for sql, params, several in self._walks
            for owner in several
            for part, values in parts.items()
        ])  # fmt: skip

    def counted(self, number: int, parts: Parts) -> Statement:
        """The statement that counts each part's rows, up to so many at least; empty where there are none."""
        if connection.vendor in COUNTED:
            return together(self._repeated(COUNTED[connection.vendor], number, parts))
        sql, params = self.first(number, parts)
        return sql and f"SELECT part, COUNT(*) FROM ({sql}) AS walk GROUP BY part", params  # noqa: S608  (Django's own SQL; values are apart)

    @cached_property
    def _walks(self) -> list[tuple[str, Sequence[Any], list[dict[str, Any]]]]:
        """For each kind of owner one walk with slots, its parameters, and the values for the owner's slot."""
        found = []
        for owner, several in by_kind(self.owners, self.model):
            kind = tuple(several[0]) or owner
            if kind not in self.written:
                self.written[kind] = self._write(owner)
            sql, params = self.written[kind]
            if sql:
                found.append((sql, params, several))
        return found

    def _write(self, owner: Q) -> Statement:
        """The walk through the rows of one kind of owner; empty where these can have none."""
        slots = {name: Slot(name) for name in self.columns}
        numbered = self.rows().annotate(part=Slot(PART, output_field=IntegerField()))
        walk = numbered.filter(owner, **slots).values_list("part", "created_at", "id")
        try:
            written: Statement = walk.query.sql_with_params()
        except EmptyResultSet:
            written = "", ()
        return written

    def _repeated(self, form: str, number: int, parts: Parts) -> list[Statement]:
        """The statements that repeat each walk, with columns of two tables in place of its slots."""
        found: list[Statement] = []
        for sql, params, several in self._walks if parts else ():
            places = {name: f"part.column{n}" for n, name in enumerate((PART, *self.slots), 1)}
            places |= dict.fromkeys(several[0], "owner.column1")
            walk = f"{_placed(sql, params, places)} LIMIT {number}"
            rows = [(part, *(values[name] for name in self.slots)) for part, values in parts.items()]
            # An owner of everything has no value, and a table has a row at least.
            owners = [tuple(one.values()) or (None,) for one in several]
            given = {
                "parts": (f"({_values(rows)}) AS part", [*chain.from_iterable(rows)]),
                "owners": (f"({_values(owners)}) AS owner", [*chain.from_iterable(owners)]),
                "walk": (walk, [one for one in params if not isinstance(one, Slot)]),
                "number": (str(number), []),
            }
            in_order = [given[name] for _, name, *_ in Formatter().parse(form) if name]
            texts = {name: text for name, (text, _) in given.items()}
            found.append((form.format(**texts), [*chain.from_iterable(some for _, some in in_order)]))
        return found


def _placed(sql: str, params: Iterable[Any], places: Mapping[str, str]) -> str:
    """A statement with columns in place of its slots."""
    given = iter(params)

    def place(found: "re.Match[str]") -> str:
        one = None if found[0] == "%%" else next(given)
        return places[one.value] if isinstance(one, Slot) else found[0]

    return re.sub("%[s%]", place, sql)


def _values(rows: Sequence[Sequence[Any]]) -> str:
    row = f"({', '.join(['%s'] * len(rows[0]))})"
    return f"VALUES {', '.join([row] * len(rows))}"
