"""SQL expressions that Django does not have."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Expression, Model


class ByImage(Expression):
    """A value for each image, for a column of readings or images, as ``CASE image_id WHEN … THEN …``.

    Django's Case and When produce the same SQL, but take 15 ms longer for a batch of 16 (measured on two busy cores).
    """

    def __init__(self, model: type[Model], name: str, values: Mapping[UUID, Any]) -> None:
        self.values = values
        column: Any = model._meta.get_field(name)
        self.key: Any = model._meta.get_field("image") if hasattr(model, "image") else model._meta.pk
        super().__init__(output_field=column)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, key = self.output_field, getattr(self.key, "target_field", self.key)
        parts, params = [], []
        for image_id, value in self.values.items():
            parts.append(f"WHEN %s THEN {self._placeholder(value, compiler, connection)}")
            params += [key.get_db_prep_save(image_id, connection), column.get_db_prep_save(value, connection)]
        sql = f"CASE {connection.ops.quote_name(self.key.column)} {' '.join(parts)} END"
        if connection.features.requires_casted_case_in_updates:
            sql = f"CAST({sql} AS {column.cast_db_type(connection)})"
        return sql, params

    def _placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        get_placeholder = getattr(self.output_field, "get_placeholder", None)
        return str(get_placeholder(value, compiler, connection)) if get_placeholder else "%s"
