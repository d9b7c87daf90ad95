"""Ingest: check an upload, decode it, and store the model's input."""

import logging
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services.failures import fail_suspects
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What ingest found out about an image, and where it put what it made."""

    sha256: str
    width: int
    height: int
    preview: str
    input: str


@atomically
def start_ingest(image_id: UUID) -> Image | None:
    """Count an attempt to prepare an image.

    Returns:
        The image, or None where it needs no preparation (any more).
    """
    started = Image.objects.filter(pk=image_id, status=Status.QUEUED, attempts__lt=settings.MAX_ATTEMPTS).update(
        attempts=F("attempts") + 1, ingest_started_at=timezone.now()
    )
    if started:
        image = Image.objects.get(pk=image_id)
        correlation.add(**correlation.log_fields(image))
        return image
    fail_suspects([image_id])
    return None


@atomically
def finish_ingest(image: Image, prepared: Prepared) -> bool:
    """Mark an image as ready and send it to the model.

    Returns:
        False where someone else has done so, or it was cancelled.
    """
    now = timezone.now()
    moved = Image.objects.filter(pk=image.pk, status=Status.QUEUED).update(
        status=Status.READY, ready_at=now, attempts=0, dispatches=1, dispatched_at=now, **vars(prepared)
    )
    if moved:
        image.attempts = 0
        transaction.on_commit(partial(dispatch.send, dispatch.INFER, [image]))
        logger.info("image %s prepared", image.pk, extra=correlation.log_fields(image))
    elif not Image.objects.filter(pk=image.pk).exists():
        # It was deleted while it was prepared.
        made = [prepared.preview, prepared.input]
        transaction.on_commit(partial(default_storage.delete_many, made))  # type: ignore[attr-defined]
    return bool(moved)


@atomically
def refund_attempt(image_id: UUID) -> None:
    """Take back an attempt to prepare an image that failed for a reason outside of it."""
    Image.objects.filter(pk=image_id, status=Status.QUEUED, attempts__gt=0).update(attempts=F("attempts") - 1)
