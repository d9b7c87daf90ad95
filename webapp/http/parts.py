"""Statements that read some rows of each of many parts of a table."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from django.db import connection
from django.db.models import Q, Value

#: Parts of one statement; SQLite takes 500.
MOST = 400
#: As many parts PostgreSQL plans by themselves, each by how many rows it has.
PLANNED_APART = 30

#: SQL and its parameters.
Statement = tuple[str, Sequence[Any]]


class Slot(Value):
    """A value of a statement that is filled in when the statement is run."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


def read_keys(model: Any, sql: str, params: Sequence[Any]) -> list[Any]:
    """The keys that a statement finds, in its last column. To make rows of them would take Django many times longer."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [model._meta.pk.to_python(key) for *_, key in cursor.fetchall()]


def by_kind(owners: Sequence[Q], model: Any) -> Iterator[tuple[Q, list[dict[str, Any]]]]:
    """Conditions for the rows of several owners; those that compare the same column once, with a slot for its value.

    Returns:
        Each condition, with the values for its slot, one for each owner.
    """
    columns: dict[str, list[dict[str, Any]]] = {}
    for owner in owners:
        match owner.children:
            case [(str(name), value)] if not owner.negated and "__" not in name:
                field = model._meta.get_field(name)
                stored = field.get_db_prep_value(getattr(value, "pk", value), connection)
                columns.setdefault(name, []).append({f"of_{name}": stored})
            case _:
                yield owner, [{}]
    for name, values in columns.items():
        yield Q(**{name: Slot(f"of_{name}")}), values


def filled(params: Iterable[Any], values: Mapping[str, Any]) -> list[Any]:
    """The parameters of a statement with values in its slots."""
    return [values[one.value] if isinstance(one, Slot) else one for one in params]


def united(parts: Sequence[Statement]) -> list[Statement]:
    """As few statements as possible that together have the rows of all parts."""
    if connection.vendor == "postgresql":
        by_sql: dict[str, list[Sequence[Any]]] = {}
        for sql, params in parts:
            by_sql.setdefault(sql, []).append(params)
        parts = [part for sql, several in by_sql.items() for part in _planned(sql, several)]
    return [_union(parts[start : start + MOST]) for start in range(0, len(parts), MOST)]


def together(parts: Sequence[Statement]) -> Statement:
    """One statement that has the rows of all parts; empty where there are none."""
    statements = united(parts)
    return statements[0] if len(statements) == 1 else _union(statements)


def _union(parts: Sequence[Statement]) -> Statement:
    return " UNION ALL ".join(f"SELECT * FROM ({sql}) AS part" for sql, _ in parts), _joined(  # noqa: S608  (Django's own SQL; values are apart)
        params for _, params in parts
    )


def _planned(sql: str, several: Sequence[Sequence[Any]]) -> list[Statement]:
    if len(several) > PLANNED_APART:
        return [_for_each(sql, several)]
    return [(sql, params) for params in several]


def _for_each(sql: str, several: Sequence[Sequence[Any]]) -> Statement:
    """One statement in place of several that differ in their parameters only.

    PostgreSQL plans each part of a union by itself: for some hundreds of them that takes seconds, and this is planned
    once.
    """
    values = list(zip(*several, strict=True))
    varying = [n for n, column in enumerate(values) if any(one != column[0] for one in column)]
    if not varying:
        return sql, several[0]
    places = iter(range(len(values)))
    body = re.sub("%[s%]", lambda found: _place(found[0], places, varying), sql)
    row = f"({', '.join(['%s'] * len(varying))})"
    names = ", ".join(f"p{n}" for n in varying)
    given = f"(VALUES {', '.join([row] * len(several))}) AS given ({names})"
    constant = [column[0] for n, column in enumerate(values) if n not in varying]
    params = _joined([params[n] for n in varying] for params in several)
    return f"SELECT found.* FROM {given} CROSS JOIN LATERAL ({body}) AS found", [*params, *constant]  # noqa: S608  (Django's own SQL; values are apart)


def _place(found: str, places: Any, varying: Sequence[int]) -> str:
    if found == "%%":
        return found
    n = next(places)
    return f"given.p{n}" if n in varying else "%s"


def _joined(params: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(params))
