"""Statements that find the first rows of each of many parts of a table, by a short walk along an index for each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import IntegerField, Q, QuerySet

from webapp.http.parts import Slot, Statement, by_kind, filled, together

#: The slot for a part's number.
PART = "part"
#: How a database repeats a statement for each row of the tables before it. MariaDB cannot.
REPEATED = {
    "postgresql": "SELECT found.* FROM {given} CROSS JOIN LATERAL ({walk}) AS found",
    "sqlite": (
        "SELECT part.column1 AS part, json_extract(found.value, '$[0]') AS created_at, "
        "json_extract(found.value, '$[1]') AS id FROM {given} CROSS JOIN "
        "json_each((SELECT json_group_array(json_array(created_at, id)) FROM ({walk}))) AS found"
    ),
}
COUNTED = "SELECT part.column1 AS part, SUM((SELECT COUNT(*) FROM ({walk}) AS walk)) FROM {given} GROUP BY part.column1"


class Walks:
    """The parts of a table: one for each owner and each of some combinations of values.

    A statement has one walk, which the database repeats for each owner and combination: with hundreds of walks in its
    text, sending and planning it takes longer than running it.
    """

    def __init__(self, rows: "QuerySet[Any]", owners: Sequence[Q], parts: Mapping[int, Mapping[str, Any]]) -> None:
        """
        Args:
            rows: those of all parts, in the order of the walks.
            owners: conditions that no row has in common.
            parts: for each part's number its values by column, the same columns for all.
        """
        self.rows = rows
        self.owners = owners
        self.parts = parts

    def first(self, number: int) -> Statement:
        """The statement that finds ``part``, ``created_at`` and ``id`` of the first rows of each part and owner; empty
        where there are none.
        """
        if connection.vendor in REPEATED:
            return together([_repeated(REPEATED[connection.vendor], *one) for one in self._tables(number)])
        return together([
            (sql, filled(params, {PART: part, **owner, **values}))
            for sql, params, several in self._walks(number)
            for owner in several
            for part, values in self.parts.items()
        ])  # fmt: skip

    def counted(self, number: int) -> Statement:
        """The statement that counts each part's rows, of each owner at most so many; empty where there are none."""
        if connection.vendor in REPEATED:
            return together([_repeated(COUNTED, *one) for one in self._tables(number)])
        sql, params = self.first(number)
        return sql and f"SELECT part, COUNT(*) FROM ({sql}) AS walk GROUP BY part", params  # noqa: S608  (Django's own SQL; values are apart)

    def _walks(self, number: int) -> Iterator[tuple[str, tuple[Any, ...], list[dict[str, Any]]]]:
        """For each kind of owner one walk with slots, its parameters, and the values for the owner's slot."""
        slots = {name: Slot(name) for values in list(self.parts.values())[:1] for name in values}
        numbered = self.rows.annotate(part=Slot(PART, output_field=IntegerField()))
        for owner, several in by_kind(self.owners, self.rows.model) if self.parts else ():
            with suppress(EmptyResultSet):
                walk = numbered.filter(owner, **slots).values_list("part", "created_at", "id")[:number]
                yield *walk.query.sql_with_params(), several

    def _tables(self, number: int) -> Iterator[tuple[str, list[Any], list[Sequence[Any]], list[Sequence[Any]]]]:
        """For each kind of owner one walk whose slots are columns, its parameters, the parts and the owners."""
        columns = [PART, *next(iter(self.parts.values()), ())]
        parts = [(part, *values.values()) for part, values in self.parts.items()]
        for sql, params, several in self._walks(number):
            places = {name: f"part.column{n}" for n, name in enumerate(columns, 1)}
            places |= dict.fromkeys(several[0], "owner.column1")
            slots = iter(params)
            walk = re.sub("%[s%]", lambda found: _place(found[0], slots, places), sql)  # noqa: B023  (called at once)
            # An owner of everything has no value, and a table has a row at least.
            owners = [tuple(one.values()) or (None,) for one in several]
            yield walk, [one for one in params if not isinstance(one, Slot)], parts, owners


def _place(found: str, params: Iterator[Any], places: Mapping[str, str]) -> str:
    if found == "%%":
        return found
    one = next(params)
    return places[one.value] if isinstance(one, Slot) else found


def _repeated(form: str, walk: str, params: Sequence[Any], *tables: Sequence[Sequence[Any]]) -> Statement:
    given = " CROSS JOIN ".join(
        f"(VALUES {', '.join(['(' + ', '.join(['%s'] * len(rows[0])) + ')'] * len(rows))}) AS {name}"
        for name, rows in zip(("part", "owner"), tables, strict=True)
    )
    values = list(chain.from_iterable(chain.from_iterable(tables)))
    sql = form.format(walk=walk, given=given)
    return sql, [*values, *params] if sql.index(given) < sql.index(walk) else [*params, *values]
