"""Find what was lost on its way and send it again."""

import logging
from collections.abc import Sequence

from django.db.models import F
from django.utils import timezone

from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.models import Image
from webapp.studies.services.archive_recovery import reconcile_archives
from webapp.studies.services.reading import release
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def reconcile(limit: int = 2000) -> dict[str, int]:
    """Find what has been lost on its way and send it again.

    A queue with at least as many messages as there are images waiting for it has lost none: the images are only
    waiting their turn. Otherwise those whose message is overdue are sent again, oldest first.

    Returns:
        What was done, for the log.
    """
    abandoned = list(Image.objects.abandoned().values_list("pk", flat=True)[:limit])
    released = release(abandoned)
    if released:
        returned = Image.objects.filter(pk__in=abandoned, status=Status.READY)
        _send_again(dispatch.INFER, list(returned))
    resent = 0
    for step, status in ((dispatch.INGEST, Status.QUEUED), (dispatch.INFER, Status.READY)):
        for priority in Priority:
            # Those whose first message has not been sent are found by themselves; see reconcile_archives.
            waiting = Image.objects.filter(status=status, priority=priority, dispatches__gt=0)
            overdue = waiting.overdue()
            if not overdue.exists():
                continue
            missing = waiting.count() - dispatch.messages_waiting(dispatch.queue_of(step, priority))
            lost = list(overdue[: max(0, min(missing, limit))])
            _send_again(step, lost)
            resent += len(lost)
    return {"released": released, "resent": resent, **reconcile_archives(limit)}


def _send_again(step: str, images: Sequence[Image]) -> None:
    _count_message(images)
    for image in images:
        logger.info("image %s is sent to %s again", image.pk, step, extra=correlation.log_fields(image))
    dispatch.send(step, images)


@atomically
def _count_message(images: Sequence[Image]) -> None:
    Image.objects.filter(pk__in=[image.pk for image in images]).update(
        dispatched_at=timezone.now(), dispatches=F("dispatches") + 1
    )
