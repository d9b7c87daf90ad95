"""Convert entries to rows of a table."""

from collections.abc import Iterator, Mapping
from datetime import UTC

from django.db.models import QuerySet

from webapp.audit import people
from webapp.audit.models import Entry

STORED = (
    "created_at", "action", "person_id", "person", "guest", "address", "token", "kind", "object_id", "department_id",
    "details", "request_id", "position", "hash",
)  # fmt: skip
#: The last column is looked up: the current names of the people whom the entry is about.
COLUMNS = (*STORED, "about")
CHUNK = 1000


def rows(entries: "QuerySet[Entry]") -> Iterator[dict[str, str]]:
    """Each entry as texts by column, oldest first. Read in parts, so that no cursor is open while a client reads."""
    part, after = entries.order_by("created_at", "id"), None
    while True:
        if after is not None:
            later = entries.filter(created_at__gte=after.created_at)
            part = later.exclude(created_at=after.created_at, id__lte=after.pk).order_by("created_at", "id")
        chunk = list(part[:CHUNK])
        names = people.names_by_id(chunk)
        yield from (row(entry, names) for entry in chunk)
        if len(chunk) < CHUNK:
            return
        after = chunk[-1]


def row(entry: Entry, names: Mapping[int, str]) -> dict[str, str]:
    values = {column: getattr(entry, column) for column in STORED}
    values["created_at"] = entry.created_at.astimezone(UTC).isoformat()
    values["about"] = ", ".join(names[pk] for pk in people.ids_in(entry) if pk in names)
    return {column: "" if value is None else str(value) for column, value in values.items()}
