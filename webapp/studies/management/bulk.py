"""Insert a very large number of rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Model


class Table:
    """Inserts rows that differ from a template in some fields only."""

    def __init__(self, template: Model, *fields: str, omit: str = "") -> None:
        meta = template._meta
        columns = [field for field in meta.local_concrete_fields if field.name != omit]
        quote = connection.ops.quote_name
        names = ", ".join(quote(str(field.column)) for field in columns)
        self.sql = f"INSERT INTO {quote(meta.db_table)} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
        self.values = [field.get_db_prep_save(field.value_from_object(template), connection) for field in columns]
        self.fields = [(columns.index(field), field) for field in map(meta.get_field, fields)]  # type: ignore[arg-type]

    def row(self, *values: Any) -> list[Any]:
        row = self.values.copy()
        for (place, field), value in zip(self.fields, values, strict=True):
            row[place] = field.get_db_prep_save(value, connection)  # type: ignore[union-attr]
        return row

    def insert(self, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(self.sql, rows)


@contextmanager
def without_indexes(*models: type[Model]) -> Iterator[None]:
    """Drop the indexes of some tables while rows are inserted, and create them again at the end."""
    if connection.vendor == "mysql":
        yield  # an index can be the one that a foreign key needs
        return
    indexes = [(model, index) for model in models for index in model._meta.indexes]
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.remove_index(model, index)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size=-400000")
    yield
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.add_index(model, index)
