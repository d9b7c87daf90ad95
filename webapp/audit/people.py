"""The names of the people whom entries are about, as opposed to those who acted. Entries store only their ids."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User

from webapp.audit.models import Entry

#: Keys of details whose values are ids of users.
USERS = ("person", "user")


def details(entry: Entry) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(entry.details) if entry.details else {}
    return parsed


def names_by_id(entries: Iterable[Entry]) -> dict[int, str]:
    """The current names of the users whom entries are about, by id. Deleted users are left out."""
    ids = {pk for entry in entries for pk in ids_in(entry)}
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username")) if ids else {}


def ids_in(entry: Entry) -> list[int]:
    """The ids of the users whom an entry is about."""
    ids = [value for name, value in details(entry).items() if name in USERS and isinstance(value, int)]
    is_user = entry.kind == User._meta.label_lower and entry.object_id.isdecimal()
    return [*ids, int(entry.object_id)] if is_user else ids
