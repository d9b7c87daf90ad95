"""Search: rows whose id is a text, or whose name or patient begins with it. Letters count as they are written."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Left

#: As many matches as are named by their ids.
FEW = 200
#: The last of all characters.
LAST = chr(0x10FFFF)


@dataclass
class Matches:
    """What a search finds, whoever may see it.

    Attributes:
        model: a model whose queryset names the fields that are searched.
        ids: the rows that match by their id, or by a field by which few match.
        fields: those by which many match.
    """

    model: Any
    text: str
    ids: set[UUID] = field(default_factory=set)
    fields: list[str] = field(default_factory=list)

    def are_more_than(self, number: int) -> bool:
        """Whether more rows than that match by one of the fields."""
        rows = self.model._base_manager.order_by()
        return any(rows.filter(begins_with(name, self.text))[: number + 1].count() > number for name in self.fields)

    def within(self, rows: Any) -> Any:
        """Those of some rows that match. No index serves that: the rows are few, or in the order of a list."""
        if not self.fields:
            return rows.filter(pk__in=self.ids)
        beginnings = {f"_{name}": Left(name, len(self.text)) for name in self.fields}
        matching = Q(*((name, self.text) for name in beginnings), _connector=Q.OR)
        return rows.alias(**beginnings).filter(matching | Q(pk__in=self.ids) if self.ids else matching)

    @property
    def columns(self) -> set[str]:
        """The rows' own columns that :meth:`within` looks at."""
        return {"patient_id" if "__" in name else name for name in self.fields}

    def parts(self) -> Iterator["QuerySet[Any]"]:
        """All matches, by an index each; no row is in two of these.

        The last names come first: names are often numbered, so that these are the newest, and SQLite, which sorts them
        by time, has soon seen the first ones. PostgreSQL's index is not in the order of names.
        """
        rows = self.model._base_manager.order_by()
        earlier = Q()
        for name in self.fields:
            matching = begins_with(name, self.text)
            found = rows.filter(matching)
            if connection.vendor != "postgresql":
                found = found.order_by(f"-{name}")
            yield found.exclude(earlier) if earlier else found
            earlier |= matching
        if self.ids or not self.fields:
            named = rows.filter(pk__in=self.ids)
            yield named.exclude(earlier) if earlier else named


def find(model: Any, text: str) -> Matches:
    """Look by which fields few rows match, and which these are."""
    found = Matches(model, text)
    with suppress(ValueError):
        found.ids.add(UUID(text))
        return found
    rows = model._base_manager.order_by()
    for name in model._default_manager.all().searched:
        matching = rows.filter(begins_with(name, text)).values_list("pk", flat=True)
        ids = list(matching[:FEW])
        if len(ids) < FEW:
            found.ids.update(ids)
        else:
            found.fields.append(name)
    return found


def begins_with(name: str, text: str) -> Q:
    """A comparison that an index on the field serves."""
    if connection.vendor == "postgresql":
        # By an index with the operator class varchar_pattern_ops; others compare by the database's language.
        return Q((f"{name}__startswith", text))
    return Q((f"{name}__gte", text), (f"{name}__lt", text + LAST))
