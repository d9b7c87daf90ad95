"""Entries as rows of a table."""

from collections.abc import Iterator
from datetime import UTC

from django.db.models import QuerySet

from webapp.audit.models import Entry

COLUMNS = (
    "created_at", "action", "person_id", "person", "guest", "address", "token", "kind", "object_id", "department_id",
    "details", "request_id", "position", "hash",
)  # fmt: skip
CHUNK = 1000


def rows(entries: "QuerySet[Entry]") -> Iterator[dict[str, str]]:
    """Each entry as texts by column, the oldest first, read in parts: no cursor is held while a client takes them."""
    part, after = entries.order_by("created_at", "id"), None
    while True:
        if after is not None:
            later = entries.filter(created_at__gte=after.created_at)
            part = later.exclude(created_at=after.created_at, id__lte=after.pk).order_by("created_at", "id")
        found = list(part[:CHUNK])
        yield from map(row, found)
        if len(found) < CHUNK:
            return
        after = found[-1]


def row(entry: Entry) -> dict[str, str]:
    values = {column: getattr(entry, column) for column in COLUMNS}
    values["created_at"] = entry.created_at.astimezone(UTC).isoformat()
    return {column: "" if value is None else str(value) for column, value in values.items()}
