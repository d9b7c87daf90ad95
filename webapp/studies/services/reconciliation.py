"""Find lost work and send it again."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.querysets import overdue
from webapp.studies.services import opening, pauses, preparation, reading, turns
from webapp.studies.services.archive_recovery import reconcile_archives
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workers:
    """What the reconciler knows about the workers.

    Attributes:
        living: the ids of live workers; see :attr:`webapp.ops.models.Worker.id`.
        bundle: the primary model of this installation; empty if it is not known.
        served: the models that workers read with now.
        shadows: the models that read in shadow mode.
    """

    living: "Collection[UUID] | QuerySet[Any]" = ()
    bundle: str = ""
    served: Collection[str] = ()
    shadows: Collection[str] = ()


def reconcile(workers: Workers, limit: int = 2000) -> dict[str, int]:
    """Find lost work and send it again.

    A queue with at least as many messages as waiting images has lost none: the images are only waiting for their turn.
    Otherwise messages that are overdue are sent again, oldest first. One message serves all readings that are read by
    turns.

    Returns:
        The number of rows by action, for the log.
    """
    returned = reading.release_abandoned(workers.living, limit)
    _send_readings_again(returned)
    pauses.hold()
    return {
        "released": len(returned),
        "prepared_again": _prepare_again(workers, limit),
        "opened": _open_nights(workers, limit),
        "closed": opening.close_abandoned(limit),
        "resent": _resend_images(limit) + _resend_readings(workers, limit),
        **reconcile_archives(limit),
    }


def _prepare_again(workers: Workers, limit: int) -> int:
    """Prepare images again that wait for a model that no worker has any more.

    This is done only once a worker has the present model. Before that, it would be of no use.
    """
    served = set(workers.served) - set(workers.shadows)
    return preparation.prepare_again(served, limit) if workers.bundle in served else 0


def _open_nights(workers: Workers, limit: int) -> int:
    """Send readings that were held for their department's night or a pause, once it has begun or ended."""
    opened = turns.open_nights({workers.bundle, *workers.served, *workers.shadows}, limit)
    dispatch.send_readings(opened)
    return len(opened)


def _resend_images(limit: int) -> int:
    resent, paused = 0, pauses.current()
    for priority in set(Priority) - paused.priorities:
        # Images from ZIPs without a first message are found separately; see reconcile_archives.
        waiting = Image.objects.filter(status=Status.QUEUED, priority=priority, dispatches__gt=0)
        if paused:
            waiting = waiting.exclude(paused.images())
        queue = dispatch.queue_of(dispatch.INGEST, priority)
        lost = list(_lost(waiting, queue, limit, order="dispatched_at"))
        _count_message(Image.objects.filter(pk__in=[image.pk for image in lost]))
        _log_resent(dispatch.INGEST, lost)
        dispatch.send(dispatch.INGEST, lost)
        resent += len(lost)
    return resent


def _resend_readings(workers: Workers, limit: int) -> int:
    resent = 0
    for bundle in {workers.bundle, *workers.served, *workers.shadows}:
        for priority in Priority:
            waiting = Reading.objects.filter(state=ReadingState.READY, bundle=bundle, priority=priority)
            example = Reading(bundle=bundle, priority=priority, shadow=bundle in workers.shadows)
            if example.is_by_turn:
                late = waiting.filter(overdue()).order_by("turn")
                suspects, others = late.filter(attempts__gt=0), late.filter(attempts=0)
                lost = [*suspects.select_related("image")[:limit], *_first(others, example.queue)]
            else:
                lost = list(_lost(waiting, example.queue, limit, order="turn").select_related("image"))
            _send_readings_again(lost)
            resent += len(lost)
    return resent


def _first(late: Any, queue: str) -> list[Reading]:
    """Return the first of some overdue readings, which one message serves, if the queue has no message."""
    first = list(late.select_related("image")[:1])
    return first if first and not dispatch.messages_waiting(queue) else []


def _lost(waiting: Any, queue: str, limit: int, *, order: str) -> Any:
    """Return a queue's rows with overdue messages: as many as the queue lacks messages, the next rows first."""
    late = waiting.filter(overdue()).order_by(order)
    if not late.exists():
        return waiting.none()
    return late[: max(0, min(waiting.count() - dispatch.messages_waiting(queue), limit))]


def _send_readings_again(readings: Sequence[Reading]) -> None:
    _count_message(Reading.objects.filter(pk__in=[row.pk for row in readings]))
    _log_resent(dispatch.INFER, [row.image for row in readings])
    dispatch.send_readings(readings)


def _log_resent(step: str, images: Sequence[Image]) -> None:
    for image in images:
        logger.info("image %s is sent to %s again", image.pk, step, extra=correlation.log_fields(image))


@atomically
def _count_message(rows: QuerySet[Any]) -> None:
    rows.update(dispatched_at=timezone.now(), dispatches=F("dispatches") + 1)
