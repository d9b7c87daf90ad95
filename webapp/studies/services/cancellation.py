"""Cancel images and studies that have no result yet.

Readings are cancelled before their images, because workers lock them in this order too. They are cancelled once more
after the images, because an image may have been prepared in between.
"""

import logging

from django.db.models import QuerySet
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.studies.choices import WAITING, ReadingState, Status
from webapp.studies.models import Archive, Image, Reading, Study
from webapp.studies.services.completion import finish, study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


@atomically
def cancel_image(image: Image, identity: Identity | None = None) -> bool:
    """Cancel an image that has no result yet. Return whether it was cancelled.

    Args:
        image: the image.
        identity: who cancels it, for the audit.
    """
    if image.is_final or not Image.objects.filter(pk=image.pk, status__in=WAITING).exists():
        return False
    readings = Reading.objects.filter(image=image)
    _cancel(readings)
    cancelled = finish(Image.objects.filter(pk=image.pk), Status.CANCELLED)
    _cancel(readings)
    if cancelled:
        record(identity, Action.CANCEL, image)
        # The id is given here because the log's context has the cancelling request, not the image's upload.
        logger.info("image %s cancelled", image.pk, extra={"image_id": str(image.pk)})
    return bool(cancelled)


@atomically
def cancel_study(study: Study, identity: Identity | None = None) -> int:
    """Cancel all of a study's images that have no result yet, including those still in a ZIP.

    A study that has finished is not changed.

    Args:
        study: the study.
        identity: who cancels it, for the audit.

    Returns:
        The number of images that were cancelled.
    """
    cancelled, was_open = stop(study), study.open_until is not None
    if not cancelled and not was_open:
        return 0
    record(identity, Action.CANCEL, study, images=cancelled)
    logger.info("study %s cancelled, %d images of it", study.pk, cancelled)
    return cancelled


def stop(study: Study) -> int:
    """Cancel a study's unfinished work within another transaction, such as its deletion.

    Returns:
        The number of images that were cancelled.
    """
    if not is_busy(study):
        return 0
    ending = study.images.filter(status__in=(*WAITING, Status.CANCELLED))
    readings = Reading.objects.filter(image__in=ending.values("pk"))
    # Images are locked before their study, as everywhere else, to avoid deadlocks.
    _cancel(readings)
    cancelled = finish(study.images.all(), Status.CANCELLED)
    _cancel(readings)
    Study.objects.filter(pk=study.pk, cancelled_at__isnull=True).update(cancelled_at=timezone.now(), open_until=None)
    # Also cancel images that the worker of a ZIP has just written. It locks the study, and writes further images as
    # cancelled.
    cancelled += finish(study.images.all(), Status.CANCELLED)
    study_progressed([study.pk])
    return cancelled


def is_busy(study: Study) -> bool:
    """Whether a study is not at rest; see :meth:`webapp.studies.querysets.StudyQuerySet.at_rest`."""
    waiting, packed = study.images.filter(status__in=WAITING), study.archives.filter(state__in=Archive.PENDING)
    return bool(waiting.exists() or study.open_until or packed.exists())


def _cancel(readings: QuerySet[Reading]) -> None:
    readings.filter(state__in=(ReadingState.HELD, ReadingState.READY, ReadingState.RUNNING)).update(
        state=ReadingState.CANCELLED, claim=None, worker=None, finished_at=timezone.now()
    )
