"""Cancel images and studies that have no result yet."""

import logging

from django.utils import timezone

from webapp.studies.choices import WAITING, Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services.completion import images_ended, study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


@atomically
def cancel_image(image: Image) -> bool:
    """Cancel an image that has no result yet."""
    cancelled = Image.objects.filter(pk=image.pk, status__in=WAITING).update(
        status=Status.CANCELLED, finished_at=timezone.now(), claim=None
    )
    if cancelled:
        images_ended([image.pk])
        # The request that cancels is another than the one that sent the image.
        logger.info("image %s cancelled", image.pk, extra={"image_id": str(image.pk)})
    return bool(cancelled)


@atomically
def cancel_study(study: Study) -> int:
    """Cancel all of a study's images that have no result yet, those still in a ZIP too.

    A study that has come to its end stays as it is.
    """
    now = timezone.now()
    waiting = study.images.filter(status__in=WAITING).exists()
    if not waiting and not study.archives.filter(state__in=Archive.PENDING).exists():
        return 0
    # Images before the study, as everywhere, so that nobody waits for each other.
    left = study.images.filter(status__in=WAITING)
    cancelled = left.update(status=Status.CANCELLED, finished_at=now, claim=None)
    Study.objects.filter(pk=study.pk, cancelled_at__isnull=True).update(cancelled_at=now)
    # And those that a ZIP's worker, which locks the study, has just written; it writes the next ones as cancelled.
    cancelled += left.update(status=Status.CANCELLED, finished_at=now, claim=None)
    study_progressed([study.pk])
    logger.info("study %s cancelled, %d images of it", study.pk, cancelled)
    return cancelled
