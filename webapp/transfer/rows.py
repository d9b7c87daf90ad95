"""Read and write rows in the order of their foreign keys."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from graphlib import TopologicalSorter
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connections, models, transaction

Model = type[models.Model]
#: Function that returns the rows of a model from one place, in chunks.
Source = Callable[[Model], Iterator[list[models.Model]]]

CHUNK = 500
#: Rows that migrations create in every installation. They are replaced, so that references to them stay valid.
MADE_BY_MIGRATIONS = ("contenttypes.contenttype", "auth.permission", "auth.group", "auth.group_permissions")
#: Tables that are left out: rows about a running service, unfinished uploads, and sessions, with whose keys anyone who
#: reads a backup could sign in.
TRANSIENT = ("ops.worker", "resumable.upload", "reviews.opening", "sessions.session", "usersessions.usersession")


class NotEmpty(Exception):
    """The target has rows that the source does not have."""


class Incomplete(Exception):
    """The target does not have all rows of the source."""


def all_models() -> list[Model]:
    """Every table except the transient ones, each after the tables that it refers to."""
    all_sorted = sorted(apps.get_models(include_auto_created=True), key=label)
    graph: dict[Model, set[Model]] = {}
    for model in all_sorted:
        if model._meta.managed and not model._meta.proxy and label(model) not in TRANSIENT:
            related = (field.related_model for field in model._meta.concrete_fields)
            graph[model] = {other._meta.concrete_model or other for other in related if other and other is not model}
    return list(TopologicalSorter(graph).static_order())


def label(model: Model) -> str:
    return model._meta.label_lower


def count(model: Model, using: str) -> int:
    return model._base_manager.using(using).count()


def database_source(using: str) -> Source:
    """The rows of a database. They are read in chunks by key, so that no query on a long table stays open."""

    def read(model: Model) -> Iterator[list[models.Model]]:
        rows = model._base_manager.using(using).order_by("pk")
        chunk = list(rows[:CHUNK])
        while chunk:
            yield chunk
            chunk = list(rows.filter(pk__gt=chunk[-1].pk)[:CHUNK])

    return read


def to_text(row: models.Model) -> str:
    """A row as a line of JSON. Unlike Django's serializer, this keeps microseconds."""
    values = {}
    for field in row._meta.concrete_fields:
        empty = field.value_from_object(row) is None
        values[field.attname] = None if empty else field.value_to_string(row)
    return json.dumps(values, ensure_ascii=False)


def from_text(model: Model, line: str) -> models.Model:
    values = json.loads(line)
    row = model()
    for field in model._meta.concrete_fields:
        value = values[field.attname]
        setattr(row, field.attname, None if value is None else field.to_python(value))
    return row


def prepare(source: Source, using: str) -> None:
    """Check that a target is empty or has only rows that an interrupted run has written, and prepare it.

    Raises:
        NotEmpty: it has other rows.
    """
    user_models = [model for model in all_models() if label(model) not in MADE_BY_MIGRATIONS]
    filled = [model for model in user_models if count(model, using)]
    for model in filled:
        known = sum(len(_existing_keys(model, chunk, using)) for chunk in source(model))
        if other := count(model, using) - known:
            raise NotEmpty(f"the target has {other} rows of {label(model)} that the source has not; give an empty one")
    if filled:
        return
    system = [model for model in all_models() if label(model) in MADE_BY_MIGRATIONS]
    with transaction.atomic(using=using):
        for model in reversed(system):
            model._base_manager.using(using).all().delete()
        for model in system:
            for chunk in source(model):
                write(model, chunk, using)


def write(model: Model, rows: Sequence[models.Model], using: str) -> None:
    """Write rows with their keys and times unchanged. Rows that exist already are not written again.

    Raises:
        NotEmpty: a different row has the same key.
    """
    existing = _existing_keys(model, rows, using)
    fresh = [row for row in rows if row.pk not in existing]
    fields = model._meta.local_concrete_fields
    size = max(1, connections[using].ops.bulk_batch_size(fields, fresh)) if fresh else 1
    with transaction.atomic(using=using):
        for start in range(0, len(fresh), size):
            # Unlike bulk_create(), this does not change times of creation or names of files.
            model._base_manager._insert(  # type: ignore[attr-defined]
                fresh[start : start + size], fields=fields, using=using, raw=True
            )


def finish(source: Callable[[Model], int], using: str) -> dict[str, int]:
    """Set the target's sequences to continue after the rows, and compare the numbers of rows.

    Args:
        source: returns the number of a model's rows in the source.
        using: the target.

    Raises:
        Incomplete: the numbers differ.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), all_models()):
            cursor.execute(statement)
    counts = {}
    for model in all_models():
        counts[label(model)] = count(model, using)
        if counts[label(model)] != source(model):
            raise Incomplete(
                f"{label(model)}: {source(model)} rows in the source, {counts[label(model)]} in the target"
            )
    return {name: number for name, number in counts.items() if number}


def _existing_keys(model: Model, rows: Iterable[models.Model], using: str) -> set[Any]:
    """The keys of rows that the target already has."""
    by_key = {row.pk: row for row in rows}
    existing = model._base_manager.using(using).in_bulk(list(by_key))
    for pk, row in existing.items():
        if _values(row) != _values(by_key[pk]):
            raise NotEmpty(f"the target has another {label(model)} with the key {pk}; give an empty target")
    return set(existing)


def _values(row: models.Model) -> list[Any]:
    values = (field.get_prep_value(field.value_from_object(row)) for field in row._meta.concrete_fields)
    return [bytes(value) if isinstance(value, memoryview) else value for value in values]
