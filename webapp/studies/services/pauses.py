"""Pause, drain and resume a queue or a department.

What is paused stays accepted: its images are neither prepared nor read, none of them counts an attempt, and their
readings are held as those are that wait for a night, without a turn. What workers have in hand is finished. A queue or
department that is drained takes no new uploads, and finishes what it has.

Messages are not kept: a worker that gets one of a paused image drops it, and the reconciler sends another after the end
of the pause.
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

#: Messages count as sent so long ago when a pause ends, so that the reconciler sends others at once.
LONG_AGO = timedelta(days=1)
#: Rows that are changed by one statement, each named by its key.
CHUNK = 1000
#: No condition.
ANY = Q()


@dataclass(frozen=True)
class Paused:
    """The queues and departments that are paused at one moment."""

    priorities: frozenset[str] = frozenset()
    departments: frozenset[UUID] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.priorities or self.departments)

    def images(self) -> Q:
        """The condition that an image is paused."""
        return Q(priority__in=self.priorities) | Q(department__in=self.departments)

    def readings(self) -> Q:
        """The condition that a reading is paused. Those of shadows are in the bulk queue, whatever their image is."""
        return Q(priority__in=self.priorities) | Q(image__department__in=self.departments)

    def includes(self, image: Image, priority: str) -> bool:
        """Whether an image's reading with a priority is paused."""
        return priority in self.priorities or image.department_id in self.departments

    def archives(self) -> Q:
        """The condition that a ZIP is paused, whose images are all bulk."""
        return Q(pk__isnull=Priority.BULK not in self.priorities) | Q(study__department__in=self.departments)


def current() -> Paused:
    """What is paused now."""
    found = list(Pause.objects.filter(kind=Pause.Kind.PAUSED).values_list("priority", "department"))
    return Paused(
        frozenset(priority for priority, _ in found if priority),
        frozenset(department for _, department in found if department),
    )


def refuse_if_drained(priority: str, department: Department | None) -> None:
    """Refuse an upload to a queue or department that takes none, and took none a second ago.

    Raises:
        Refused: ``not_accepting``.
    """
    found: list[Pause] | None = caches["process"].get_or_set(
        "draining", lambda: list(Pause.objects.filter(kind=Pause.Kind.DRAINING).order_by("scope"))
    )
    scopes = {scope_of(priority, None), scope_of("", department)}
    drained = next((one for one in found or () if one.scope in scopes), None)
    if drained:
        what = "This department" if drained.department_id else f"The queue of {priority} images"
        raise Refused(
            "not_accepting", f"{what} takes no new images at the moment. Please send it again later.", retry_after=60
        )


def awaited_by(priority: str, department_id: UUID | None) -> Pause | None:
    """The pause that images of a queue and a department wait for, if there is one."""
    mine = Q(priority=priority) | (Q(department=department_id) if department_id else Q(pk__in=[]))
    return Pause.objects.filter(mine, kind=Pause.Kind.PAUSED).select_related("department").order_by("scope").first()


def scope_of(priority: str, department: Department | None) -> str:
    return str(department.pk) if department else priority


@atomically
def pause(
    by: Identity, kind: str, *, priority: str = "", department: Department | None = None, reason: str = ""
) -> None:
    """Pause or drain a queue or a department.

    Args:
        by: who does it.
        kind: one of :class:`webapp.studies.models.Pause.Kind`.
        priority: the queue; empty for a department.
        department: the department; None for a queue.
        reason: a sentence that pages show.
    """
    scope = scope_of(priority, department)
    was_paused = Pause.objects.filter(scope=scope, kind=Pause.Kind.PAUSED).exists()
    known = {"priority": priority, "department": department, "kind": kind, "reason": reason[:200]}
    name = by.user.get_username() if by.user else ""
    Pause.objects.update_or_create(scope=scope, defaults={**known, "by": name, "since": timezone.now()})
    record(by, Action.PAUSE, department, kind=kind, **({"queue": priority} if priority else {}))
    if kind == Pause.Kind.PAUSED:
        hold()
    elif was_paused:
        _wake(priority, department)
    logger.warning("%s is %s", scope, kind)


@atomically
def resume(by: Identity, *, priority: str = "", department: Department | None = None) -> bool:
    """End the pause or the draining of a queue or a department; False where there is none (any more)."""
    row = Pause.objects.filter(scope=scope_of(priority, department)).first()
    if row is None:
        return False
    scope = row.scope  # its key, which goes with the row
    row.delete()
    if row.kind == Pause.Kind.PAUSED:
        _wake(priority, department)
    record(by, Action.RESUME, department, kind=row.kind, **({"queue": priority} if priority else {}))
    logger.warning("%s is resumed", scope)
    return True


@atomically
def hold() -> int:
    """Hold all readings that are ready and paused; one that a batch has given back is among them.

    Returns:
        How many were held now.
    """
    paused = current()
    held = 0
    ready = Reading.objects.filter(state=ReadingState.READY)
    if paused.priorities:
        held += ready.filter(priority__in=paused.priorities).update(state=ReadingState.HELD, turn=None)
    if paused.departments:
        held += _update(ready, paused.departments, "image__department", state=ReadingState.HELD, turn=None)
    return held


def _update(rows: Any, departments: Collection[UUID], of: str, only: Q = ANY, **values: Any) -> int:
    """Change those of some waiting rows that belong to departments.

    They are picked out here: SQLite, asked for all at once, goes through all that the departments have ever had.

    Args:
        rows: those that wait.
        departments: whose rows are changed.
        of: the rows' way to their department.
        only: what the rows that are changed have besides.
        values: what they are changed to.
    """
    keys = [pk for pk, department in rows.order_by().values_list("pk", of) if department in departments]
    chunks = (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
    return sum(rows.filter(only, pk__in=some).update(**values) for some in chunks)


def _wake(priority: str, department: Department | None) -> None:
    """Have the reconciler send everything of a queue or department that is paused no more."""
    held = Reading.objects.filter(state=ReadingState.HELD)
    # A turn in the past: what has one and is still paused for another reason loses it again.
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
