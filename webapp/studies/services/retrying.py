"""Read failed images again from their stored files."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.refusals import Refused
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.expressions import ByImage
from webapp.studies.models import Image, Reading, Study
from webapp.studies.querysets import ImageQuerySet
from webapp.studies.services import turns
from webapp.studies.services.failures import log_each
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Images that are sent back in one transaction.
CHUNK = 100
#: The most images with an error code that one request sends back.
AT_ONCE = 1000
#: The condition that a failed image can be read again. A file that was refused during its upload was never stored.
READABLE = Q(study__cancelled_at=None) & ~Q(file="")


def retry_image(identity: Identity, image: Image) -> None:
    """Send a failed image back to its preparation. Its readings are deleted and created again.

    Raises:
        Refused: ``not_failed``, also if another request was faster; ``file_gone``; ``study_cancelled``.
    """
    if image.status != Status.FAILED:
        raise Refused("not_failed", "Only an image that has failed can be read again.")
    if image.study and image.study.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send the image again.")
    if not _has_file(image):
        raise Refused("file_gone", "Its file is no longer stored. Please upload it again.")
    if not _send_back(identity, [image.pk]):
        raise Refused("not_failed", "Only an image that has failed can be read again.")


def retry_study(identity: Identity, study: Study) -> int:
    """Send back all failed images of a study whose files are stored.

    Returns:
        The number of images that were sent back.

    Raises:
        Refused: ``study_cancelled``.
    """
    if study.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send its images again.")
    failed = [image.pk for image in study.images.filter(status=Status.FAILED) if _has_file(image)]
    return sum(_send_back(identity, failed[start : start + CHUNK]) for start in range(0, len(failed), CHUNK))


def failed_since(since: datetime) -> ImageQuerySet:
    """Return the images that failed since a given time and can be read again."""
    failed: ImageQuerySet = Image.objects.filter(READABLE, status=Status.FAILED, finished_at__gt=since)
    return failed


def with_code(code: str, since: datetime, owned: Q) -> ImageQuerySet:
    """Return the images that failed with a code and can be read again, latest first."""
    return failed_since(since).filter(owned, error_code=code).order_by("-finished_at")


def retry_code(identity: Identity, code: str, since: datetime, owned: Q) -> int:
    """Send back the images of :func:`with_code` whose files are stored, at most as many as one request can process.

    Returns:
        The number of images that were sent back.
    """
    failed = [image.pk for image in with_code(code, since, owned)[:AT_ONCE] if _has_file(image)]
    return sum(_send_back(identity, failed[start : start + CHUNK]) for start in range(0, len(failed), CHUNK))


def _has_file(image: Image) -> bool:
    """Whether the uploaded file is stored. A file that was refused during its upload never was."""
    return bool(image.file) and default_storage.exists(str(image.file.name))


@atomically
def _send_back(identity: Identity, image_ids: Sequence[UUID]) -> int:
    # Readings are locked before images, because workers lock them in this order too.
    readings = list(Reading.objects.filter(image__in=image_ids).select_for_update().values_list("pk", "input"))
    failed = Image.objects.select_for_update().filter(pk__in=image_ids, status=Status.FAILED).order_by("pk")
    audit.record_each(identity, Action.RETRY, images := list(failed))
    ids = [image.pk for image in images]
    for image in images:
        image.status = Status.QUEUED
    turns.line_up(images)
    old_readings = Reading.objects.filter(pk__in=[pk for pk, _ in readings], image__in=ids)
    inputs = {name for name in old_readings.values_list("input", flat=True) if name}
    old_readings.delete()
    count = Image.objects.filter(pk__in=ids, status=Status.FAILED).update(
        status=Status.QUEUED,
        turn=ByImage(Image, "turn", {image.pk: image.turn for image in images}),
        attempts=0,
        dispatches=1,
        dispatched_at=timezone.now(),
        ingest_started_at=None,
        finished_at=None,
        error_code="",
        error_detail="",
    )
    log_each(ids, "is read again")
    transaction.on_commit(partial(_send_and_clear, ids, inputs))
    return count


def _send_and_clear(image_ids: Sequence[UUID], inputs: set[str]) -> None:
    dispatch.send(dispatch.INGEST, list(Image.objects.filter(pk__in=image_ids)))
    media.delete_many(inputs)
