"""The state of the queues, counted from the database: for all images, or for those of some departments.

The queries read only waiting images and those of the last minutes or the last day, each by an index.
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
#: Arguments of :func:`counted` for readings.
OF_IMAGE = {"of": "image__department", "first": "dispatched_at"}


@dataclass(frozen=True)
class Queue:
    """A queue at this moment.

    Attributes:
        name: the workers' name for it, such as ``infer.bulk``.
        step: ``preparing`` or ``reading``.
        waiting: images in it, without those in a batch.
        in_hand: images in a batch.
        held: waiting images that are held until the night or the end of a pause.
        oldest_seconds: how long ago the oldest waiting image was received.
        in_per_minute: images that arrived per minute lately; None if it cannot be computed.
        out_per_minute: images that left it per minute.
        seconds_left: time until it is empty at this rate; None if no image leaves it.
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
    """Numbers of images.

    Attributes:
        waiting: images without a result, by status and priority: how many, and when the oldest was received.
        by_department: the same by the primary key of their department.
        received: images received since a given time, by priority.
        ended: images finished since then, by status and priority.
    """

    waiting: dict[tuple[str, str], tuple[int, datetime]]
    by_department: dict[Any, tuple[int, datetime]]
    received: dict[str, int]
    ended: dict[tuple[str, str], int]

    def finished(self, priority: str) -> int:
        return sum(self.ended.get((status, priority), 0) for status in FINAL)


def count(departments: Sequence[Any] | None, since: datetime) -> Counted:
    """Count the images that wait, and those that were received or finished since a given time.

    Args:
        departments: the departments whose images count; None for all images.
        since: the time.
    """
    images = Image.objects.all()
    selected = None if departments is None else {department.pk for department in departments}
    waiting: dict[tuple[str, str], tuple[int, datetime]] = {}
    by_department: dict[Any, tuple[int, datetime]] = {}
    for (status, priority, pk), totals in counted(images.waiting(), None, "status", "priority", "department").items():
        if selected is None or pk in selected:
            _add(waiting, (status, priority), totals)
            _add(by_department, pk, totals)
    received = counted(images.filter(created_at__gt=since), departments, "priority")
    ended: dict[tuple[str, str], int] = {}
    # One query for each status: with GROUP BY status, SQLite would read all images.
    for status in FINAL:
        rows = counted(images.filter(status=status, finished_at__gt=since), departments, "priority")
        ended |= {(status, priority): number for (priority,), (number, _) in rows.items()}
    return Counted(waiting, by_department, {priority: number for (priority,), (number, _) in received.items()}, ended)


def counted(
    rows: Any, departments: Sequence[Any] | None, *columns: str, of: str = "department", first: str = "created_at"
) -> dict[Any, tuple[int, datetime]]:
    """Count the rows with each combination of values, and find the earliest time among them.

    Departments are selected in Python: with a department in the WHERE clause, the database may read all rows that the
    department has ever had.

    Args:
        rows: a queryset.
        departments: the departments whose rows count; None for all rows.
        columns: the columns of the values.
        of: the lookup from a row to its department.
        first: the column of the time.
    """
    selected = None if departments is None else {department.pk for department in departments}
    names = columns if selected is None else (*columns, of)
    totals: dict[Any, tuple[int, datetime]] = {}
    for *values, number, since in rows.order_by().values_list(*names).annotate(Count("pk"), Min(first)):
        if selected is None or values.pop() in selected:
            _add(totals, tuple(values), (number, since))
    return totals


def _add(totals: dict[Any, tuple[int, datetime]], key: Any, added: tuple[int, datetime]) -> None:
    number, first = totals.get(key, (0, added[1]))
    totals[key] = number + added[0], min(first, added[1])


def queues(departments: Sequence[Any] | None, images: Counted) -> list[Queue]:
    """The state of each queue.

    Args:
        departments: the departments whose images count; None for all images.
        images: the counts of these images over the last :data:`WINDOW`.
    """
    now = timezone.now()
    set_aside = Reading.objects.set_aside().filter(shadow=False)
    held = counted(set_aside, departments, "priority", **OF_IMAGE)
    kinds = dict(Pause.objects.exclude(priority="").values_list("priority", "kind"))
    samples = _samples_before(now) if departments is None else {}
    found = []
    for priority in Priority:
        minutes = WINDOW.total_seconds() / 60
        queued, first_queued = images.waiting.get((Status.QUEUED, priority), (0, now))
        ready, first_ready = images.waiting.get((Status.READY, priority), (0, now))
        running, first_running = images.waiting.get((Status.RUNNING, priority), (0, now))
        received, finished = images.received.get(priority, 0) / minutes, images.finished(priority) / minutes
        prepared = None
        if sample := samples.get(priority):
            prepared = max(0.0, received - (queued - sample.queued) / ((now - sample.at).total_seconds() / 60))
        state = kinds.get(priority, RUNNING)
        found += [
            Queue(
                dispatch.queue_of(dispatch.INGEST, priority), "preparing", priority, queued, 0, 0,
                (now - first_queued).total_seconds(), received, prepared, _seconds_left(queued, prepared), state,
            ),
            Queue(
                dispatch.queue_of(dispatch.INFER, priority), "reading", priority, ready, running,
                held.get((priority,), (0,))[0], (now - min(first_ready, first_running)).total_seconds(), prepared,
                finished, _seconds_left(ready + running - held.get((priority,), (0,))[0], finished), state,
            ),
        ]  # fmt: skip
    return found


def _seconds_left(waiting: int, per_minute: float | None) -> float | None:
    if waiting <= 0:
        return 0.0
    return round(60 * waiting / per_minute, 1) if per_minute else None


def _samples_before(now: datetime) -> dict[str, Sample]:
    """The sample of each queue from which its rate is computed, about as old as the window."""
    recent = Sample.objects.filter(at__gt=now - 2 * WINDOW, at__lt=now - WINDOW / 2).order_by("at")
    samples: dict[str, Sample] = {}
    for sample in recent:
        if sample.priority not in samples or sample.at <= now - WINDOW:
            samples[sample.priority] = sample
    return samples


@dataclass(frozen=True)
class DepartmentShare:
    """The waiting images of a department."""

    slug: str
    name: str
    waiting: int
    oldest_seconds: float
    state: str


def by_department(departments: Sequence[Any], images: Counted) -> list[DepartmentShare]:
    """The waiting images of each of these departments, those with the most images first."""
    now = timezone.now()
    kinds = dict(Pause.objects.filter(department__isnull=False).values_list("department", "kind"))
    shares = []
    for department in departments:
        number, first = images.by_department.get(department.pk, (0, now))
        state, oldest = kinds.get(department.pk, RUNNING), (now - first).total_seconds()
        shares.append(DepartmentShare(department.slug, department.name, number, oldest, state))
    return sorted(shares, key=lambda share: (-share.waiting, share.name))


def packed(departments: Sequence[Any] | None) -> dict[str, int]:
    """Numbers of ZIPs that wait to be unpacked, and of the files in them."""
    pending = Archive.objects.filter(state__in=Archive.PENDING)
    rows = pending.values_list("study__department", F("total") - F("unpacked"))
    selected = None if departments is None else {department.pk for department in departments}
    files = [files_left for department, files_left in rows if selected is None or department in selected]
    return {"archives": len(files), "files": sum(files)}


def failures(departments: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Images that failed within a day, by code, most frequent first. ``again`` is true if some can be read again."""
    since = timezone.now() - DAY
    failed = Image.objects.filter(status=Status.FAILED, finished_at__gt=since)
    failed = failed.annotate(again=Case(When(retrying.READABLE, then=True), default=False))
    rows = counted(failed, departments, "error_code", "again", first="finished_at")
    codes: dict[str, tuple[int, datetime]] = {}
    for (code, _), total in rows.items():
        _add(codes, code, total)
    found = [
        {"code": code, "images": number, "since": first, "again": (code, True) in rows}
        for code, (number, first) in codes.items()
    ]
    return sorted(found, key=lambda row: (-row["images"], row["code"]))


def retries(departments: Sequence[Any] | None) -> int:
    """The number of images that are being retried, because preparing or reading them was interrupted."""
    readings = Reading.objects.filter(shadow=False)
    counts = (
        counted(readings.filter(state=ReadingState.READY, attempts__gt=0), departments, "priority", **OF_IMAGE),
        counted(readings.filter(state=ReadingState.RUNNING, attempts__gt=1), departments, "priority", **OF_IMAGE),
        counted(Image.objects.filter(status=Status.QUEUED, attempts__gt=1), departments, "priority"),
    )
    return sum(number for counted_rows in counts for number, _ in counted_rows.values())


def shadows() -> dict[str, int]:
    """The number of readings that wait for each shadow model."""
    waiting = Reading.objects.filter(state=ReadingState.READY, shadow=True).order_by()
    return dict(waiting.values_list("bundle").annotate(Count("pk")))


def owned_by(departments: Sequence[Any] | None) -> Q:
    return Q() if departments is None else Q(department__in=departments)
