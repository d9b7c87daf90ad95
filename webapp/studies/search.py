"""Search for rows whose id equals a text, or whose name or patient begins with it. Upper and lower case differ."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Left

#: The ids of the rows that match by a field are listed only if they are fewer.
MAX_IDS = 200
#: The last of all characters.
LAST = chr(0x10FFFF)


@dataclass
class Matches:
    """All matches of a search, including rows that the client may not see.

    Attributes:
        model: a model whose queryset names the fields that are searched.
        text: the text that was searched for.
        ids: ids of the rows that match by their id, or by a field by which few rows match.
        fields: the fields by which many rows match.
    """

    model: Any
    text: str
    ids: set[UUID] = field(default_factory=set)
    fields: list[str] = field(default_factory=list)

    def are_more_than(self, number: int) -> bool:
        """Whether more than this number of rows match by one of the fields."""
        rows = self.model._base_manager.order_by()
        return any(rows.filter(begins_with(name, self.text))[: number + 1].count() > number for name in self.fields)

    def within(self, rows: Any) -> Any:
        """Return the given rows that match. No index serves this: the rows must be few or be read in a list's order."""
        if not self.fields:
            return rows.filter(pk__in=self.ids)
        beginnings = {f"_{name}": Left(name, len(self.text)) for name in self.fields}
        matching = Q(*((name, self.text) for name in beginnings), _connector=Q.OR)
        return rows.alias(**beginnings).filter(matching | Q(pk__in=self.ids) if self.ids else matching)

    @property
    def columns(self) -> set[str]:
        """The rows' own columns that :meth:`within` compares."""
        return {"patient_id" if "__" in name else name for name in self.fields}

    def parts(self) -> Iterator["QuerySet[Any]"]:
        """Yield all matches in querysets that have no row in common. An index serves each.

        The last names come first. Names are often numbered, so the last are the newest, and SQLite, which sorts the
        matches by time, meets the first rows of its result early. PostgreSQL's index is not in the order of names.
        """
        rows = self.model._base_manager.order_by()
        earlier = Q()
        for name in self.fields:
            matching = begins_with(name, self.text)
            rows_of_field = rows.filter(matching)
            if connection.vendor != "postgresql":
                rows_of_field = rows_of_field.order_by(f"-{name}")
            yield rows_of_field.exclude(earlier) if earlier else rows_of_field
            earlier |= matching
        if self.ids or not self.fields:
            by_id = rows.filter(pk__in=self.ids)
            yield by_id.exclude(earlier) if earlier else by_id


def find(model: Any, text: str) -> Matches:
    """Search all rows. Return the ids of the rows that match by fields with few matches, and the other fields."""
    matches = Matches(model, text)
    with suppress(ValueError):
        matches.ids.add(UUID(text))
        return matches
    rows = model._base_manager.order_by()
    for name in model._default_manager.all().searched:
        matching = rows.filter(begins_with(name, text)).values_list("pk", flat=True)
        ids = list(matching[:MAX_IDS])
        if len(ids) < MAX_IDS:
            matches.ids.update(ids)
        else:
            matches.fields.append(name)
    return matches


def begins_with(name: str, text: str) -> Q:
    """Condition that a field begins with a text, in a form that an index on the field serves."""
    if connection.vendor == "postgresql":
        # An index with the operator class varchar_pattern_ops serves this. Other indexes use the database's collation.
        return Q((f"{name}__startswith", text))
    return Q((f"{name}__gte", text), (f"{name}__lt", text + LAST))
