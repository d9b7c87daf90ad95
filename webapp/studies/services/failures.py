"""Mark images that cannot be prepared as failed, with a code and a sentence, and log this."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from django.conf import settings

from webapp.observability import correlation
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services.completion import finish
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

CRASHED = (
    "worker_crashed",
    f"Reading this image stopped the worker {settings.MAX_ATTEMPTS} times, so it was set aside; other images are not "
    "affected. Please export it again, as DICOM or PNG, and report it to the administrator.",
)


@atomically
def fail(image_id: UUID, code: str, detail: str) -> bool:
    """Mark an image as failed, unless another worker has prepared it in the meantime."""
    failed = finish(Image.objects.filter(pk=image_id, status=Status.QUEUED), Status.FAILED, code, detail)
    if failed:
        log_each([image_id], f"failed: {code}")
    return bool(failed)


def fail_suspects(image_ids: Sequence[UUID]) -> None:
    """Mark images as failed if their preparation has crashed workers too often."""
    suspects = Image.objects.filter(pk__in=image_ids, status=Status.QUEUED, attempts__gte=settings.MAX_ATTEMPTS)
    if crashed := list(suspects.values_list("pk", flat=True)):
        finish(suspects, Status.FAILED, *CRASHED)
        log_each(crashed, f"failed: {CRASHED[0]}")


def log_each(image_ids: Collection[UUID], event: str) -> None:
    """Log one line per image."""
    for image in Image.objects.filter(pk__in=image_ids).only("request_id"):
        logger.warning("image %s %s", image.pk, event, extra=correlation.log_fields(image))
