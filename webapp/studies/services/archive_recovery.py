"""Recover ZIPs, and images from ZIPs, whose runs died or whose messages were lost."""

import logging
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.studies import dispatch
from webapp.studies.models import Archive, Image
from webapp.studies.services import archives, pauses
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def reconcile_archives(limit: int = 2000) -> dict[str, int]:
    """Release the ZIPs of dead runs, and send missing messages again.

    Returns:
        Counts: ``archives_released``, ``archives`` (messages sent again) and ``unsent`` (images from ZIPs).
    """
    released = sum(_release_abandoned(archive) for archive in Archive.objects.abandoned()[:limit])
    resent = _send_again(limit)
    unsent = list(Image.objects.never_sent()[:limit])
    archives.send_new(unsent)
    for archive in Archive.objects.left_over()[:100]:
        archives.delete_zip(archive)
    return {"archives_released": released, "archives": resent, "unsent": len(unsent)}


@atomically
def _release_abandoned(archive: Archive) -> bool:
    """Count a run that died and release its ZIP. A ZIP with too many dead runs fails."""
    if archive.attempts + 1 >= settings.MAX_ATTEMPTS:
        archives.fail_archive(archive, *archives.CRASHED)
        return True
    # If another process has released or unpacked the ZIP since the query, its claim has changed.
    released = Archive.objects.filter(pk=archive.pk, claim=archive.claim).update(
        claim=None, attempts=F("attempts") + 1, dispatches=F("dispatches") + 1, dispatched_at=timezone.now()
    )
    if released:
        logger.warning("archive %s was given back: its run at %s is gone", archive.pk, archive.claimed_by or "a worker")
        # The run's message is lost, or does nothing if it is delivered again.
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))
    return bool(released)


def _send_again(limit: int) -> int:
    """Send as many messages as the queue lacks, for the ZIPs that have waited longest. Return their number."""
    overdue, waiting = Archive.objects.overdue(), Archive.objects.waiting()
    if paused := pauses.current():
        overdue, waiting = overdue.exclude(paused.archives()), waiting.exclude(paused.archives())
    if not overdue.exists():
        return 0
    missing = waiting.count() - dispatch.messages_waiting(dispatch.UNPACK_QUEUE)
    lost = list(overdue[: max(0, min(missing, limit))])
    _count_message([archive.pk for archive in lost])
    for archive in lost:
        logger.info("archive %s is sent again", archive.pk)
        dispatch.send_unpack(archive.pk)
    return len(lost)


@atomically
def _count_message(archive_ids: list[UUID]) -> None:
    Archive.objects.filter(pk__in=archive_ids).update(dispatched_at=timezone.now(), dispatches=F("dispatches") + 1)
