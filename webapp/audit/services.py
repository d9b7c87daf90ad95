"""Record what someone does.

>>> record(identity, Action.VIEW, image)
>>> record(identity, Action.CHANGE, patient, fields=["birth_date"])
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from django.core.cache import cache
from django.db.models import Model

from webapp.audit.models import Action, Entry
from webapp.observability import correlation

#: Done again within so many seconds by the same person with the same object, these are one entry: a page loads its
#: pictures, and asks again for what has changed.
READS = (Action.LIST, Action.VIEW, Action.DOWNLOAD)
ONCE_IN_SECONDS = 300


class Actor(Protocol):
    """The actor: implemented by :class:`webapp.accounts.identity.Identity`."""

    @property
    def user(self) -> Any: ...
    @property
    def guest(self) -> UUID | None: ...
    @property
    def address(self) -> str: ...
    @property
    def token(self) -> str: ...


def record(actor: Actor | None, action: Action, obj: Model | type[Model] | None = None, **details: Any) -> None:
    """Write an entry, in the caller's transaction where there is one.

    Call it in the transaction of a change, and before what is read is sent.

    Args:
        actor: who does it; None for the service itself.
        action: what is done.
        obj: with what; a model's class for a list of its rows.
        details: codes, numbers and names of fields. Never what a field holds: no name, no finding, no file's name.
    """
    entry = _entry(actor, action, obj, details)
    if action not in READS:
        entry.save(force_insert=True)
        return
    who = (entry.person_id, entry.guest, entry.token, entry.address)
    same = (*who, action, entry.kind, entry.object_id, entry.details)
    key = "audit:" + hashlib.sha256(json.dumps(same).encode()).hexdigest()
    if not cache.get(key):
        entry.save(force_insert=True)
        # Only now: what could not be written must be written next time.
        cache.set(key, 1, ONCE_IN_SECONDS)


def record_each(actor: Actor | None, action: Action, objs: Iterable[Model], **details: Any) -> None:
    """Write an entry for each of many objects, by one statement."""
    Entry.objects.bulk_create(_entry(actor, action, obj, details) for obj in objs)


def _entry(actor: Actor | None, action: Action, obj: Model | type[Model] | None, details: dict[str, Any]) -> Entry:
    return Entry(
        action=action,
        details=json.dumps(details, sort_keys=True, default=str) if details else "",
        request_id=correlation.request_id(),
        **_who(actor),
        **_what(obj),
    )


def _who(actor: Actor | None) -> dict[str, Any]:
    if actor is None:
        return {}
    who: dict[str, Any] = {"address": actor.address[:64], "token": actor.token[:100]}
    if actor.user is not None:
        return {**who, "person_id": actor.user.pk, "person": actor.user.get_username()}
    return {**who, "guest": str(actor.guest or "")}


def _what(obj: Model | type[Model] | None) -> dict[str, Any]:
    if obj is None:
        return {}
    kind = obj._meta.label_lower
    if isinstance(obj, type):
        return {"kind": kind}
    department = obj.pk if kind == "departments.department" else getattr(obj, "department_id", None)
    return {"kind": kind, "object_id": str(obj.pk), "department_id": str(department or "")}
