"""Take samples of the queues; beat runs this every minute."""

import logging
from datetime import timedelta

from django.db import close_old_connections
from django.db.models import Sum
from django.utils import timezone

from webapp.queues import figures
from webapp.queues.models import Sample
from webapp.retention.run import Run
from webapp.studies.choices import WAITING, Priority, Status
from webapp.studies.models import Image

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
#: Interval for counting the bytes of all uploads, which reads all rows.
COUNT_BYTES = timedelta(hours=1)
KEPT = timedelta(days=8)


def sample() -> None:
    """Take a sample of each queue. If that fails, the sample is missing in the charts."""
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
        waiting = {status: counted.waiting.get((status, priority)) for status in WAITING}
        oldest = min((total[1] for total in waiting.values() if total), default=now)
        samples.append(
            Sample(
                at=now,
                priority=priority,
                queued=_number(waiting[Status.QUEUED]),
                ready=_number(waiting[Status.READY]) + _number(waiting[Status.RUNNING]),
                oldest_seconds=max(0.0, (now - oldest).total_seconds()),
                received=counted.received.get(priority, 0),
                finished=counted.finished(priority),
                failed=counted.ended.get((Status.FAILED, priority), 0),
                stored_bytes=stored if priority == Priority.INTERACTIVE else None,
            )
        )
    Sample.objects.bulk_create(samples)


def _number(total: tuple[int, object] | None) -> int:
    return total[0] if total else 0


def forget(run: Run) -> None:
    """Delete old samples; a step of the purge."""
    old = Sample.objects.filter(at__lt=timezone.now() - KEPT)
    run.removed["samples"] += old.count() if run.dry else old.delete()[0]
