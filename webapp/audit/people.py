"""The names of the people whom entries are about, besides those who acted. Entries have their numbers only."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User

from webapp.audit.models import Entry

#: The details that are users' ids.
USERS = ("person", "user")


def details(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.details) if entry.details else {}
    return found


def named(entries: Iterable[Entry]) -> dict[int, str]:
    """The present names of the users whom entries are about, by their ids. Who is deleted has none."""
    ids = {pk for entry in entries for pk in ids_in(entry)}
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username")) if ids else {}


def ids_in(entry: Entry) -> list[int]:
    """The ids of the users whom an entry is about."""
    found = [value for name, value in details(entry).items() if name in USERS and isinstance(value, int)]
    is_user = entry.kind == User._meta.label_lower and entry.object_id.isdecimal()
    return [*found, int(entry.object_id)] if is_user else found
