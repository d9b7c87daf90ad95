"""The state of the workers, from their reports and from the batches that they have read."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Count, Max, Min
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from webapp.ops.models import Worker
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Image, Reading

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Number of the latest images whose batches are considered.
LATEST = 400
BATCHES = 6


@dataclass(frozen=True)
class Batch:
    """A batch that was read.

    Attributes:
        why: the reason for its size, in words.
        waited_seconds: how long its first image had waited.
    """

    worker: "StrOrPromise"
    model: str
    size: int
    seconds: float
    why: "StrOrPromise"
    waited_seconds: float | None
    finished_at: datetime


@dataclass(frozen=True)
class Work:
    """A worker and its current work.

    Attributes:
        in_hand: images in its current batch.
        in_hand_seconds: how long ago it claimed that batch.
        images_per_second: its speed while it reads, over its latest batches; None for workers that do not read.
    """

    name: str
    role: str
    ready: bool
    living: bool
    model: str
    engine: str
    device: str
    max_batch: int
    memory_bytes: int | None
    in_hand: int
    in_hand_seconds: float | None
    images_per_second: float | None
    seen_at: datetime


def latest() -> tuple[list[Work], list[Batch]]:
    """All workers, and the latest batches, newest first."""
    now = timezone.now()
    workers = list(Worker.objects.order_by("role", "name"))
    living = set(Worker.objects.living().values_list("pk", flat=True))
    batches, speeds = _batches({worker.pk: worker for worker in workers})
    held = Reading.objects.filter(state=ReadingState.RUNNING).order_by().values_list("worker")
    in_hand = {pk: (n, first) for pk, n, first in held.annotate(Count("pk"), Min("claimed_at"))}
    work = []
    for worker in workers:
        number, since = in_hand.get(worker.pk, (0, None))
        work.append(
            Work(
                name=worker.name, role=worker.role, ready=worker.ready, living=worker.pk in living,
                model=worker.model, engine=worker.engine, device=worker.device, max_batch=worker.max_batch,
                memory_bytes=worker.memory, in_hand=number,
                in_hand_seconds=(now - since).total_seconds() if since else None,
                images_per_second=speeds.get(worker.pk), seen_at=worker.seen_at,
            )
        )  # fmt: skip
    return work, batches


def _batches(workers: dict[UUID, Worker]) -> tuple[list[Batch], dict[UUID, float]]:
    """The latest batches, and the speed of each worker in them, in images per second."""
    read = Image.objects.filter(status=Status.SUCCEEDED, finished_at__isnull=False).order_by("-finished_at")
    ids = list(read.values_list("pk", flat=True)[:LATEST])
    rows = Reading.objects.filter(
        image__in=ids, state=ReadingState.SUCCEEDED, claim__isnull=False, batch_size__isnull=False,
        seconds__isnull=False, finished_at__isnull=False,
    )  # fmt: skip
    # The database groups the readings into batches: only these values are needed of each batch.
    columns = ("claim", "worker", "bundle", "batch_size", "seconds", "claimed_at", "finished_at")
    grouped = rows.order_by().values_list(*columns).annotate(Min("ready_at"), Max("attempts"), Min("priority"))
    batches, images, seconds = [], defaultdict[Any, int](int), defaultdict[Any, float](float)
    for _claim, pk, bundle, size, duration, claimed_at, finished_at, ready_at, attempts, priority in grouped:
        images[pk] += size
        seconds[pk] += duration
        worker = workers.get(pk)
        batches.append(
            Batch(
                worker=worker.name if worker else _("a worker that is gone"), model=bundle, size=size, seconds=duration,
                why=_why(size, attempts, worker, bulk=priority == Priority.BULK),
                waited_seconds=(claimed_at - ready_at).total_seconds() if ready_at and claimed_at else None,
                finished_at=finished_at,
            )
        )  # fmt: skip
    batches.sort(key=lambda batch: batch.finished_at, reverse=True)
    return batches[:BATCHES], {pk: images[pk] / seconds[pk] for pk in images if seconds[pk]}


def _why(size: int, attempts: int, worker: Worker | None, *, bulk: bool) -> "StrOrPromise":
    """The reason for a batch's size. A free worker takes what waits, up to its largest batch."""
    if worker and worker.max_batch and size >= worker.max_batch:
        return format_lazy(_("full: this worker reads at most {most}"), most=worker.max_batch)
    if size == 1 and attempts > 1:
        return _("read alone, because an earlier batch with this image did not finish")
    if bulk:
        return _("bulk images: a short batch, so that the next person does not wait long")
    return _("all images that waited")
