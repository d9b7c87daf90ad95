"""Pause, drain and resume a queue or a department.

A paused queue or department still accepts images, but they are neither prepared nor read, and no attempts are counted.
Their readings are held like those that wait for a night, but without a turn. Workers finish the images that they have
begun. A queue or department that is draining accepts no new uploads and finishes the images that it has.

Messages are not kept: a worker that gets the message of a paused image discards it, and the reconciler sends another
after the end of the pause.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.cache import caches
from django.db.models import Q
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Archive, Image, Pause, Reading
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: When a pause ends, messages are recorded as sent this long ago, so that the reconciler sends new ones at once.
LONG_AGO = timedelta(days=1)
#: Rows that one statement changes, each selected by its id.
CHUNK = 1000
#: The condition that is always true.
ANY = Q()


@dataclass(frozen=True)
class Paused:
    """The queues and departments that are paused at one time."""

    priorities: frozenset[str] = frozenset()
    departments: frozenset[UUID] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.priorities or self.departments)

    def images(self) -> Q:
        """Return the condition that an image is paused."""
        return Q(priority__in=self.priorities) | Q(department__in=self.departments)

    def readings(self) -> Q:
        """Return the condition that a reading is paused. A shadow reading has the priority bulk, whatever its image."""
        return Q(priority__in=self.priorities) | Q(image__department__in=self.departments)

    def includes(self, image: Image, priority: str) -> bool:
        """Whether an image's reading with a priority is paused."""
        return priority in self.priorities or image.department_id in self.departments

    def archives(self) -> Q:
        """Return the condition that a ZIP is paused. The images in ZIPs are always bulk."""
        return Q(pk__isnull=Priority.BULK not in self.priorities) | Q(study__department__in=self.departments)


def current() -> Paused:
    """Return the queues and departments that are paused now."""
    rows = list(Pause.objects.filter(kind=Pause.Kind.PAUSED).values_list("priority", "department"))
    return Paused(
        frozenset(priority for priority, _ in rows if priority),
        frozenset(department for _, department in rows if department),
    )


def refuse_if_drained(priority: str, department: Department | None) -> None:
    """Refuse an upload to a queue or department that is draining, as of at most a second ago.

    Raises:
        Refused: ``not_accepting``.
    """
    draining: list[Pause] | None = caches["process"].get_or_set(
        "draining", lambda: list(Pause.objects.filter(kind=Pause.Kind.DRAINING).order_by("scope"))
    )
    scopes = {scope_of(priority, None), scope_of("", department)}
    drained = next((pause for pause in draining or () if pause.scope in scopes), None)
    if drained:
        subject = "This department" if drained.department_id else f"The queue of {priority} images"
        raise Refused(
            "not_accepting", f"{subject} accepts no new images at present. Please send it again later.", retry_after=60
        )


def awaited_by(priority: str, department_id: UUID | None) -> Pause | None:
    """Return the pause that images of a queue and a department wait for, if there is one."""
    scope = Q(priority=priority) | (Q(department=department_id) if department_id else Q(pk__in=[]))
    return Pause.objects.filter(scope, kind=Pause.Kind.PAUSED).select_related("department").order_by("scope").first()


def scope_of(priority: str, department: Department | None) -> str:
    return str(department.pk) if department else priority


@atomically
def pause(
    identity: Identity, kind: str, *, priority: str = "", department: Department | None = None, reason: str = ""
) -> None:
    """Pause or drain a queue or a department.

    Args:
        identity: who pauses it, for the audit.
        kind: one of :class:`webapp.studies.models.Pause.Kind`.
        priority: the queue; empty for a department.
        department: the department; None for a queue.
        reason: the sentence that pages show.
    """
    scope = scope_of(priority, department)
    was_paused = Pause.objects.filter(scope=scope, kind=Pause.Kind.PAUSED).exists()
    values = {"priority": priority, "department": department, "kind": kind, "reason": reason[:200]}
    name = identity.user.get_username() if identity.user else ""
    Pause.objects.update_or_create(scope=scope, defaults={**values, "by": name, "since": timezone.now()})
    record(identity, Action.PAUSE, department, kind=kind, **({"queue": priority} if priority else {}))
    if kind == Pause.Kind.PAUSED:
        hold()
    elif was_paused:
        _wake(priority, department)
    logger.warning("%s is %s", scope, kind)


@atomically
def resume(identity: Identity, *, priority: str = "", department: Department | None = None) -> bool:
    """End the pause or draining of a queue or a department. Return False if there is none."""
    row = Pause.objects.filter(scope=scope_of(priority, department)).first()
    if row is None:
        return False
    scope = row.scope  # the primary key, which delete() clears
    row.delete()
    if row.kind == Pause.Kind.PAUSED:
        _wake(priority, department)
    record(identity, Action.RESUME, department, kind=row.kind, **({"queue": priority} if priority else {}))
    logger.warning("%s is resumed", scope)
    return True


@atomically
def hold() -> int:
    """Hold all readings that are ready and paused, including those that a batch has returned.

    Returns:
        The number of readings that were held.
    """
    paused = current()
    held = 0
    ready = Reading.objects.filter(state=ReadingState.READY)
    if paused.priorities:
        held += ready.filter(priority__in=paused.priorities).update(state=ReadingState.HELD, turn=None)
    if paused.departments:
        held += _update(ready, paused.departments, "image__department", state=ReadingState.HELD, turn=None)
    return held


def _update(rows: Any, departments: Collection[UUID], lookup: str, condition: Q = ANY, **values: Any) -> int:
    """Change the waiting rows of some departments. Return their number.

    The rows are selected here by their ids. With one condition for everything, SQLite would read all rows that the
    departments have ever had.

    Args:
        rows: the waiting rows.
        departments: the departments.
        lookup: the lookup from a row to its department.
        condition: a further condition for the rows to change.
        values: the new values by column.
    """
    keys = [pk for pk, department in rows.order_by().values_list("pk", lookup) if department in departments]
    chunks = (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
    return sum(rows.filter(condition, pk__in=chunk).update(**values) for chunk in chunks)


def _wake(priority: str, department: Department | None) -> None:
    """Let the reconciler send everything of a queue or department that is no longer paused."""
    held = Reading.objects.filter(state=ReadingState.HELD)
    # A turn in the past makes the reconciler look at a reading. If it is still paused for another reason, it loses this
    # turn again.
    if department:
        _update(held, {department.pk}, "image__department", Q(turn=None), turn=0)
    else:
        held.filter(priority=priority, turn=None).update(turn=0)
    unsent: dict[str, Any] = {"dispatches": 1, "dispatched_at": timezone.now() - LONG_AGO}
    packed = Archive.objects.filter(state__in=Archive.PENDING, claim=None)
    images = Image.objects.filter(status=Status.QUEUED, dispatches__gt=0)
    if department:
        images.filter(department=department).update(**unsent)
        _update(packed, {department.pk}, "study__department", **unsent)
    else:
        images.filter(priority=priority).update(**unsent)
        if priority == Priority.BULK:
            packed.update(**unsent)
