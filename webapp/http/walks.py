"""SQL statements that find the first rows of each of many parts of a table, by a short index scan (a walk) for each."""

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from functools import cached_property
from itertools import chain
from string import Formatter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import IntegerField, Model, Q, QuerySet

from webapp.http.parts import Slot, Statement, combined_into_one, fill_slots, group_owners

#: Parts of a table: for each part's number, its value in each column.
Parts = Mapping[int, Mapping[str, Any]]
#: The slot for a part's number.
PART = "part"
#: SQL that repeats a walk for each row of the tables before it, by database. MariaDB cannot do this.
REPEATED = {
    "postgresql": "SELECT found.* FROM {parts} CROSS JOIN {owners} CROSS JOIN LATERAL ({walk}) AS found",
    "sqlite": (
        "SELECT part.column1 AS part, json_extract(found.value, '$[0]') AS created_at, "
        "json_extract(found.value, '$[1]') AS id FROM {parts} CROSS JOIN {owners} CROSS JOIN "
        "json_each((SELECT json_group_array(json_array(created_at, id)) FROM ({walk}))) AS found"
    ),
}
#: SQL that counts each part's rows, by database. PostgreSQL stops at the owner with whom a part reaches the limit.
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

    The text of a statement contains one walk, which the database repeats for each owner and combination. A statement
    with hundreds of walks in its text would take longer to send and plan than to run.
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
            model: the table's model.
            rows: returns the rows of all parts, in the order of the walks.
            owners: conditions of which each row satisfies at most one.
            columns: the columns in whose values the parts differ.
            slots: names of further slots in the rows. Each part has a value for each, in the database's format.
            written: cache of the statements for these rows, by kind of owner. Django takes longer to write one than a
                database takes to run it.
        """
        self.model = model
        self.rows = rows
        self.owners = owners
        self.columns = list(columns)
        self.slots = [*self.columns, *slots]
        self.written = {} if written is None else written

    def first(self, number: int, parts: Parts) -> Statement:
        """The statement that selects ``part``, ``created_at`` and ``id`` of the first rows of each part and owner;
        empty if there can be none.
        """
        if connection.vendor in REPEATED:
            return combined_into_one(self._repeated(REPEATED[connection.vendor], number, parts))
        return combined_into_one([
            (f"{sql} LIMIT {number}", fill_slots(params, {PART: part, **owner, **values}))
            for sql, params, owner_values in self._walks
            for owner in owner_values
            for part, values in parts.items()
        ])  # fmt: skip

    def counted(self, number: int, parts: Parts) -> Statement:
        """The statement that counts each part's rows, up to ``number`` or more; empty if there can be none."""
        if connection.vendor in COUNTED:
            return combined_into_one(self._repeated(COUNTED[connection.vendor], number, parts))
        sql, params = self.first(number, parts)
        return sql and f"SELECT part, COUNT(*) FROM ({sql}) AS walk GROUP BY part", params  # noqa: S608  (Django's own SQL; values are apart)

    @cached_property
    def _walks(self) -> list[tuple[str, Sequence[Any], list[dict[str, Any]]]]:
        """For each kind of owner: a walk with slots, its parameters, and each owner's value for its slot."""
        walks = []
        for owner, owner_values in group_owners(self.owners, self.model):
            kind = tuple(owner_values[0]) or owner
            if kind not in self.written:
                self.written[kind] = self._write(owner)
            sql, params = self.written[kind]
            if sql:
                walks.append((sql, params, owner_values))
        return walks

    def _write(self, owner: Q) -> Statement:
        """The walk through the rows of one kind of owner; empty if it can find none."""
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
        statements: list[Statement] = []
        for sql, params, owner_values in self._walks if parts else ():
            places = {name: f"part.column{n}" for n, name in enumerate((PART, *self.slots), 1)}
            places |= dict.fromkeys(owner_values[0], "owner.column1")
            walk = f"{_placed(sql, params, places)} LIMIT {number}"
            rows = [(part, *(values[name] for name in self.slots)) for part, values in parts.items()]
            # A condition without a slot has no value, but a table needs at least one row.
            owners = [tuple(values.values()) or (None,) for values in owner_values]
            pieces = {
                "parts": (f"({_values(rows)}) AS part", [*chain.from_iterable(rows)]),
                "owners": (f"({_values(owners)}) AS owner", [*chain.from_iterable(owners)]),
                "walk": (walk, [param for param in params if not isinstance(param, Slot)]),
                "number": (str(number), []),
            }
            in_order = [pieces[name] for _, name, *_ in Formatter().parse(form) if name]
            texts = {name: text for name, (text, _) in pieces.items()}
            statements.append((form.format(**texts), [*chain.from_iterable(values for _, values in in_order)]))
        return statements


def _placed(sql: str, params: Iterable[Any], places: Mapping[str, str]) -> str:
    """The statement with columns in place of its slots."""
    remaining = iter(params)

    def place(match: "re.Match[str]") -> str:
        param = None if match[0] == "%%" else next(remaining)
        return places[param.value] if isinstance(param, Slot) else match[0]

    return re.sub("%[s%]", place, sql)


def _values(rows: Sequence[Sequence[Any]]) -> str:
    row = f"({', '.join(['%s'] * len(rows[0]))})"
    return f"VALUES {', '.join([row] * len(rows))}"
