"""What waits in the queues, by the database's rows: for everybody's images, or for those of some departments.

Nothing here looks at more than the images that wait and those of the last minutes or the last day, each by an index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Min, Q, When
from django.utils import timezone

from webapp.queues.models import Sample
from webapp.studies import dispatch
from webapp.studies.choices import FINAL, Priority, ReadingState, Status
from webapp.studies.models import Archive, Image, Pause, Reading
from webapp.studies.services import retrying

#: Rates are measured over this span.
WINDOW = timedelta(minutes=5)
DAY = timedelta(days=1)
RUNNING = "running"
#: What :func:`counted` takes for readings.
OF_IMAGE = {"of": "image__department", "first": "dispatched_at"}


@dataclass(frozen=True)
class Queue:
    """A queue at this moment.

    Attributes:
        name: as the workers know it, such as ``infer.bulk``.
        step: ``preparing`` or ``reading``.
        waiting: images in it; those in a batch are not among them.
        in_hand: images in a batch.
        held: those waiting that wait for a night or for the end of a pause.
        oldest_seconds: how long ago the oldest that waits was received.
        in_per_minute: images that came in the last minutes; None where nothing tells it.
        out_per_minute: images that left it.
        seconds_left: time until it is empty at this rate; None where nothing leaves it.
        state: ``running``, or one of :class:`webapp.studies.models.Pause.Kind`.
    """

    name: str
    step: str
    priority: str
    waiting: int
    in_hand: int
    held: int
    oldest_seconds: float
    in_per_minute: float | None
    out_per_minute: float | None
    seconds_left: float | None
    state: str


@dataclass(frozen=True)
class Counted:
    """Images by priority.

    Attributes:
        waiting: those without a result by status and priority: how many, and when the oldest was received.
        by_department: the same by the key of their department.
        received: those that came since a moment.
        ended: those that came to an end since then, by status and priority.
    """

    waiting: dict[tuple[str, str], tuple[int, datetime]]
    by_department: dict[Any, tuple[int, datetime]]
    received: dict[str, int]
    ended: dict[tuple[str, str], int]

    def finished(self, priority: str) -> int:
        return sum(self.ended.get((status, priority), 0) for status in FINAL)


def count(departments: Sequence[Any] | None, since: datetime) -> Counted:
    """Count what waits, and what came and went since a moment.

    Args:
        departments: whose images count; None for everybody's.
        since: the moment.
    """
    images = Image.objects.all()
    picked = None if departments is None else {department.pk for department in departments}
    waiting: dict[tuple[str, str], tuple[int, datetime]] = {}
    by_department: dict[Any, tuple[int, datetime]] = {}
    for (status, priority, pk), found in counted(images.waiting(), None, "status", "priority", "department").items():
        if picked is None or pk in picked:
            _add(waiting, (status, priority), found)
            _add(by_department, pk, found)
    received = counted(images.filter(created_at__gt=since), departments, "priority")
    ended: dict[tuple[str, str], int] = {}
    # Each status by itself: grouped by it, SQLite would walk through all images that there are.
    for status in FINAL:
        rows = counted(images.filter(status=status, finished_at__gt=since), departments, "priority")
        ended |= {(status, priority): number for (priority,), (number, _) in rows.items()}
    return Counted(waiting, by_department, {priority: number for (priority,), (number, _) in received.items()}, ended)


def counted(
    rows: Any, departments: Sequence[Any] | None, *columns: str, of: str = "department", first: str = "created_at"
) -> dict[Any, tuple[int, datetime]]:
    """How many rows there are of each combination of values, and the time of the first of them.

    The departments are picked out here: a database that is asked for what waits in a department may well go through
    all that the department has ever had.

    Args:
        rows: a queryset.
        departments: whose rows count; None for everybody's.
        columns: the columns of the values.
        of: the rows' way to their department.
        first: the column of the time.
    """
    picked = None if departments is None else {department.pk for department in departments}
    names = columns if picked is None else (*columns, of)
    found: dict[Any, tuple[int, datetime]] = {}
    for *values, number, since in rows.order_by().values_list(*names).annotate(Count("pk"), Min(first)):
        if picked is None or values.pop() in picked:
            _add(found, tuple(values), (number, since))
    return found


def _add(found: dict[Any, tuple[int, datetime]], key: Any, more: tuple[int, datetime]) -> None:
    number, first = found.get(key, (0, more[1]))
    found[key] = number + more[0], min(first, more[1])


def queues(departments: Sequence[Any] | None, images: Counted) -> list[Queue]:
    """Each queue.

    Args:
        departments: whose images count; None for everybody's.
        images: theirs, of the last :data:`WINDOW`.
    """
    now = timezone.now()
    set_aside = Reading.objects.set_aside().filter(shadow=False)
    held = counted(set_aside, departments, "priority", **OF_IMAGE)
    kinds = dict(Pause.objects.exclude(priority="").values_list("priority", "kind"))
    before = _samples_before(now) if departments is None else {}
    found = []
    for priority in Priority:
        minutes = WINDOW.total_seconds() / 60
        queued, first_queued = images.waiting.get((Status.QUEUED, priority), (0, now))
        ready, first_ready = images.waiting.get((Status.READY, priority), (0, now))
        running, first_running = images.waiting.get((Status.RUNNING, priority), (0, now))
        came, went = images.received.get(priority, 0) / minutes, images.finished(priority) / minutes
        prepared = None
        if sample := before.get(priority):
            prepared = max(0.0, came - (queued - sample.queued) / ((now - sample.at).total_seconds() / 60))
        state = kinds.get(priority, RUNNING)
        found += [
            Queue(
                dispatch.queue_of(dispatch.INGEST, priority), "preparing", priority, queued, 0, 0,
                (now - first_queued).total_seconds(), came, prepared, _left(queued, prepared), state,
            ),
            Queue(
                dispatch.queue_of(dispatch.INFER, priority), "reading", priority, ready, running,
                held.get((priority,), (0,))[0], (now - min(first_ready, first_running)).total_seconds(), prepared, went,
                _left(ready + running - held.get((priority,), (0,))[0], went), state,
            ),
        ]  # fmt: skip
    return found


def _left(waiting: int, per_minute: float | None) -> float | None:
    if waiting <= 0:
        return 0.0
    return round(60 * waiting / per_minute, 1) if per_minute else None


def _samples_before(now: datetime) -> dict[str, Sample]:
    """The sample of each queue from which its rate is measured: about as old as the window."""
    recent = Sample.objects.filter(at__gt=now - 2 * WINDOW, at__lt=now - WINDOW / 2).order_by("at")
    found: dict[str, Sample] = {}
    for sample in recent:
        if sample.priority not in found or sample.at <= now - WINDOW:
            found[sample.priority] = sample
    return found


@dataclass(frozen=True)
class DepartmentShare:
    """What a department has waiting."""

    slug: str
    name: str
    waiting: int
    oldest_seconds: float
    state: str


def by_department(departments: Sequence[Any], images: Counted) -> list[DepartmentShare]:
    """What each of some departments has waiting, those with most first."""
    now = timezone.now()
    kinds = dict(Pause.objects.filter(department__isnull=False).values_list("department", "kind"))
    shares = []
    for department in departments:
        number, first = images.by_department.get(department.pk, (0, now))
        state, oldest = kinds.get(department.pk, RUNNING), (now - first).total_seconds()
        shares.append(DepartmentShare(department.slug, department.name, number, oldest, state))
    return sorted(shares, key=lambda share: (-share.waiting, share.name))


def packed(departments: Sequence[Any] | None) -> dict[str, int]:
    """ZIPs that are still to be unpacked, and the files in them."""
    pending = Archive.objects.filter(state__in=Archive.PENDING)
    rows = pending.values_list("study__department", F("total") - F("unpacked"))
    picked = None if departments is None else {department.pk for department in departments}
    files = [left for department, left in rows if picked is None or department in picked]
    return {"archives": len(files), "files": sum(files)}


def failures(departments: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Images that failed within a day, by code, the most frequent first; ``again`` if some can be read again."""
    since = timezone.now() - DAY
    failed = Image.objects.filter(status=Status.FAILED, finished_at__gt=since)
    failed = failed.annotate(again=Case(When(retrying.READABLE, then=True), default=False))
    rows = counted(failed, departments, "error_code", "again", first="finished_at")
    codes: dict[str, tuple[int, datetime]] = {}
    for (code, _), some in rows.items():
        _add(codes, code, some)
    found = [
        {"code": code, "images": number, "since": first, "again": (code, True) in rows}
        for code, (number, first) in codes.items()
    ]
    return sorted(found, key=lambda row: (-row["images"], row["code"]))


def retries(departments: Sequence[Any] | None) -> int:
    """Images that are tried once more: something broke off when they were prepared or read."""
    readings = Reading.objects.filter(shadow=False)
    again = (
        counted(readings.filter(state=ReadingState.READY, attempts__gt=0), departments, "priority", **OF_IMAGE),
        counted(readings.filter(state=ReadingState.RUNNING, attempts__gt=1), departments, "priority", **OF_IMAGE),
        counted(Image.objects.filter(status=Status.QUEUED, attempts__gt=1), departments, "priority"),
    )
    return sum(number for found in again for number, _ in found.values())


def shadows() -> dict[str, int]:
    """Readings that wait for models beside the one that counts."""
    waiting = Reading.objects.filter(state=ReadingState.READY, shadow=True).order_by()
    return dict(waiting.values_list("bundle").annotate(Count("pk")))


def owned_by(departments: Sequence[Any] | None) -> Q:
    return Q() if departments is None else Q(department__in=departments)
