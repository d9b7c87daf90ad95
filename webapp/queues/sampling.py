"""Samples of the queues, which beat takes each minute."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import close_old_connections
from django.db.models import Sum
from django.utils import timezone

from webapp.queues import figures
from webapp.queues.models import Sample
from webapp.studies.choices import WAITING, Priority, Status
from webapp.studies.models import Image

if TYPE_CHECKING:
    from webapp.retention.services import Run

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
#: Counting the bytes of all uploads reads all rows, so it is done this seldom.
COUNT_BYTES = timedelta(hours=1)
KEPT = timedelta(days=8)


def sample() -> None:
    """Take a sample of each queue. One that fails is missing in the charts."""
    close_old_connections()
    try:
        take()
    except Exception:
        logger.exception("could not take a sample of the queues")


def take() -> None:
    now = timezone.now()
    counted = figures.count(None, now - MINUTE)
    counted_lately = Sample.objects.filter(at__gt=now - COUNT_BYTES, stored_bytes__gt=0).exists()
    stored = None if counted_lately else Image.objects.aggregate(size=Sum("size", default=0))["size"]
    samples = []
    for priority in Priority:
        waits = {status: counted.waiting.get((status, priority)) for status in WAITING}
        oldest = min((found[1] for found in waits.values() if found), default=now)
        samples.append(
            Sample(
                at=now,
                priority=priority,
                queued=_number(waits[Status.QUEUED]),
                ready=_number(waits[Status.READY]) + _number(waits[Status.RUNNING]),
                oldest_seconds=max(0.0, (now - oldest).total_seconds()),
                received=counted.received.get(priority, 0),
                finished=counted.finished(priority),
                failed=counted.ended.get((Status.FAILED, priority), 0),
                stored_bytes=stored if priority == Priority.INTERACTIVE else None,
            )
        )
    Sample.objects.bulk_create(samples)


def _number(found: tuple[int, object] | None) -> int:
    return found[0] if found else 0


def forget(run: "Run") -> None:
    """A step of the purge: delete old samples."""
    old = Sample.objects.filter(at__lt=timezone.now() - KEPT)
    run.removed["samples"] += old.count() if run.dry else old.delete()[0]
