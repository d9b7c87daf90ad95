"""Fail images, with a code and a sentence, and log it."""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from webapp.observability import correlation
from webapp.studies.choices import WAITING, Status
from webapp.studies.models import Image
from webapp.studies.services.completion import images_ended
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

CRASHED = (
    "worker_crashed",
    f"Reading this image stopped the worker {settings.MAX_ATTEMPTS} times, so it was set aside. "
    "Please report it to the administrator; other images are not affected.",
)


@atomically
def fail(image_id: UUID, code: str, detail: str) -> bool:
    """Fail an image that has not come to an end."""
    failed = Image.objects.filter(pk=image_id, status__in=WAITING).update(
        status=Status.FAILED, error_code=code, error_detail=detail[:500], finished_at=timezone.now(), claim=None
    )
    if failed:
        images_ended([image_id])
        log_each([image_id], f"failed: {code}")
    return bool(failed)


def fail_suspects(image_ids: Sequence[UUID]) -> None:
    """Fail those that have stopped a worker too often."""
    suspects = Image.objects.filter(
        pk__in=image_ids, status__in=(Status.QUEUED, Status.READY), attempts__gte=settings.MAX_ATTEMPTS
    )
    if guilty := list(suspects.values_list("pk", flat=True)):
        suspects.update(
            status=Status.FAILED, error_code=CRASHED[0], error_detail=CRASHED[1], finished_at=timezone.now()
        )
        images_ended(guilty)
        log_each(guilty, f"failed: {CRASHED[0]}")


def log_each(image_ids: Sequence[UUID], what: str) -> None:
    """Log what befell some images, a line for each."""
    for image in Image.objects.filter(pk__in=image_ids).only("request_id"):
        logger.warning("image %s %s", image.pk, what, extra=correlation.log_fields(image))
