"""Write entries of the audit.

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

#: Actions that are recorded only once if the same person repeats them on the same object within ``ONCE_IN_SECONDS``:
#: a page loads its pictures and polls for changes.
READS = (Action.LIST, Action.VIEW, Action.DOWNLOAD)
ONCE_IN_SECONDS = 300


class Actor(Protocol):
    """Who acts; implemented by :class:`webapp.accounts.identity.Identity`."""

    @property
    def user(self) -> Any: ...
    @property
    def guest(self) -> UUID | None: ...
    @property
    def address(self) -> str: ...
    @property
    def token(self) -> str: ...


def record(actor: Actor | None, action: Action, obj: Model | type[Model] | None = None, **details: Any) -> None:
    """Write an entry, in the caller's transaction if there is one.

    Call it in the transaction of a change, and before sending what was read.

    Args:
        actor: who acts; None for the service itself.
        action: the action.
        obj: the object of the action; a model class for a list of its rows.
        details: codes, numbers and names of fields. Never the value of a field: no name, no finding, no file's name.
    """
    entry = _entry(actor, action, obj, details)
    if action not in READS:
        entry.save(force_insert=True)
        return
    performed_by = (entry.person_id, entry.guest, entry.token, entry.address)
    values = (*performed_by, action, entry.kind, entry.object_id, entry.details)
    key = "audit:" + hashlib.sha256(json.dumps(values).encode()).hexdigest()
    if not cache.get(key):
        entry.save(force_insert=True)
        # Only after the entry was saved: if saving fails, the next call has to try again.
        cache.set(key, 1, ONCE_IN_SECONDS)


def record_each(actor: Actor | None, action: Action, objs: Iterable[Model], **details: Any) -> None:
    """Write an entry for each of many objects in one statement."""
    Entry.objects.bulk_create(_entry(actor, action, obj, details) for obj in objs)


def _entry(actor: Actor | None, action: Action, obj: Model | type[Model] | None, details: dict[str, Any]) -> Entry:
    return Entry(
        action=action,
        details=json.dumps(details, sort_keys=True, default=str) if details else "",
        request_id=correlation.request_id(),
        **_actor_columns(actor),
        **_object_columns(obj),
    )


def _actor_columns(actor: Actor | None) -> dict[str, Any]:
    if actor is None:
        return {}
    columns: dict[str, Any] = {"address": actor.address[:64], "token": actor.token[:100]}
    if actor.user is not None:
        return {**columns, "person_id": actor.user.pk, "person": actor.user.get_username()}
    return {**columns, "guest": str(actor.guest or "")}


def _object_columns(obj: Model | type[Model] | None) -> dict[str, Any]:
    if obj is None:
        return {}
    kind = obj._meta.label_lower
    if isinstance(obj, type):
        return {"kind": kind}
    department = obj.pk if kind == "departments.department" else getattr(obj, "department_id", None)
    return {"kind": kind, "object_id": str(obj.pk), "department_id": str(department or "")}
