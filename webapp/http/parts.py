"""SQL statements that read some rows from each of many parts of a table."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from django.db import connection
from django.db.models import Q, Value

#: Largest number of parts in one statement. SQLite accepts 500.
MOST_PARTS = 400
#: Largest number of parts for which PostgreSQL plans each part separately, using its row count.
PLANNED_SEPARATELY = 30

#: SQL and its parameters.
Statement = tuple[str, Sequence[Any]]


class Slot(Value):
    """Placeholder for a value of a statement. The value is filled in when the statement is run."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


def read_keys(model: Any, sql: str, params: Sequence[Any]) -> list[Any]:
    """Run a statement and return the keys in its last column. Building model instances would take Django many times
    longer.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [model._meta.pk.to_python(key) for *_, key in cursor.fetchall()]


def group_owners(owners: Sequence[Q], model: Any) -> Iterator[tuple[Q, list[dict[str, Any]]]]:
    """Merge the conditions for several owners: one condition, with a slot for the value, for all that compare the same
    column.

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


def fill_slots(params: Iterable[Any], values: Mapping[str, Any]) -> list[Any]:
    """The parameters of a statement, with its slots replaced by their values."""
    return [values[param.value] if isinstance(param, Slot) else param for param in params]


def combined(parts: Sequence[Statement]) -> list[Statement]:
    """Combine parts into as few statements as possible."""
    if connection.vendor == "postgresql":
        by_sql: dict[str, list[Sequence[Any]]] = {}
        for sql, params in parts:
            by_sql.setdefault(sql, []).append(params)
        parts = [part for sql, param_lists in by_sql.items() for part in _planned(sql, param_lists)]
    return [_union(parts[start : start + MOST_PARTS]) for start in range(0, len(parts), MOST_PARTS)]


def combined_into_one(parts: Sequence[Statement]) -> Statement:
    """One statement that returns the rows of all parts; empty if there are no parts."""
    statements = combined(parts)
    return statements[0] if len(statements) == 1 else _union(statements)


def _union(parts: Sequence[Statement]) -> Statement:
    return " UNION ALL ".join(f"SELECT * FROM ({sql}) AS part" for sql, _ in parts), _joined(  # noqa: S608  (SQL that Django compiled; values are parameters)
        params for _, params in parts
    )


def _planned(sql: str, param_lists: Sequence[Sequence[Any]]) -> list[Statement]:
    if len(param_lists) > PLANNED_SEPARATELY:
        return [_for_each(sql, param_lists)]
    return [(sql, params) for params in param_lists]


def _for_each(sql: str, param_lists: Sequence[Sequence[Any]]) -> Statement:
    """One statement that replaces several that differ only in their parameters.

    PostgreSQL plans each part of a UNION separately, which takes seconds for some hundreds of parts. This statement is
    planned once.
    """
    values = list(zip(*param_lists, strict=True))
    varying = [n for n, column in enumerate(values) if any(value != column[0] for value in column)]
    if not varying:
        return sql, param_lists[0]
    places = iter(range(len(values)))
    body = re.sub("%[s%]", lambda found: _place(found[0], places, varying), sql)
    row = f"({', '.join(['%s'] * len(varying))})"
    names = ", ".join(f"p{n}" for n in varying)
    value_table = f"(VALUES {', '.join([row] * len(param_lists))}) AS given ({names})"
    constant = [column[0] for n, column in enumerate(values) if n not in varying]
    params = _joined([params[n] for n in varying] for params in param_lists)
    return f"SELECT found.* FROM {value_table} CROSS JOIN LATERAL ({body}) AS found", [*params, *constant]  # noqa: S608  (SQL that Django compiled; values are parameters)


def _place(found: str, places: Any, varying: Sequence[int]) -> str:
    if found == "%%":
        return found
    n = next(places)
    return f"given.p{n}" if n in varying else "%s"


def _joined(params: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(params))
