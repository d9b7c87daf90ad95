"""Record the preparation of images (ingest), which checks and decodes an upload and stores each model's input."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.observability import correlation
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import pauses, turns
from webapp.studies.services.failures import fail_suspects, log_each
from webapp.studies.services.judging import outside_training
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What ingest has found out about an image, and the files that it has stored.

    Attributes:
        sha256: the hash of the uploaded file.
        width: the image's width in pixels.
        height: the image's height in pixels.
        preview: the name of the preview's file.
        inputs: the name of the input file for each bundle that will read the image, the primary bundle first.
        input_hashes: the SHA-256 of each input file, by bundle.
        region: see :attr:`webapp.studies.models.Reading.region`.
        warnings: the warnings, each as ``{code, detail}``, that were found before any model has read the image.
        brightness: see :attr:`webapp.studies.models.Image.brightness`.
        preview_sha256: the hash of the preview; empty if the upload is its own preview.
    """

    sha256: str
    width: int
    height: int
    preview: str
    inputs: dict[str, str]
    input_hashes: dict[str, str] = field(default_factory=dict)
    region: list[int] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    brightness: float | None = None
    preview_sha256: str = ""


@atomically
def start_ingest(image_id: UUID, *, redelivered: bool = False) -> Image | None:
    """Return the image to prepare for a message, and count the attempt. Bulk images are prepared by their turns.

    Args:
        image_id: the id in the message.
        redelivered: whether the broker has delivered the message before, to a worker that did not finish it.

    Returns:
        The image, or None if no image needs to be prepared or the image is paused.
    """
    paused = pauses.current()
    image = turns.next_to_prepare(image_id, paused, redelivered=redelivered)
    if image is None:
        return None
    waiting = Image.objects.filter(pk=image.pk, status=Status.QUEUED, attempts__lt=settings.MAX_ATTEMPTS)
    if paused:
        waiting = waiting.exclude(paused.images())
    now = timezone.now()
    if waiting.update(turn=None, attempts=F("attempts") + 1, ingest_started_at=now):
        image.turn, image.attempts, image.ingest_started_at = None, image.attempts + 1, now
        correlation.add(**correlation.log_fields(image))
        return image
    fail_suspects([image.pk])
    return None


@atomically
def finish_ingest(image: Image, prepared: Prepared) -> bool:
    """Mark an image as ready, and send it to its models.

    Returns:
        Whether it was marked. False if another worker has done so, or if it was cancelled or deleted.
    """
    now = timezone.now()
    moved = Image.objects.filter(pk=image.pk, status=Status.QUEUED).update(
        status=Status.READY,
        attempts=0,
        sha256=prepared.sha256,
        width=prepared.width,
        height=prepared.height,
        preview=prepared.preview,
        preview_sha256=prepared.preview_sha256,
        brightness=prepared.brightness,
    )
    if not moved:
        if not Image.objects.filter(pk=image.pk).exists():
            # It was deleted while it was prepared.
            made = [prepared.preview, *prepared.inputs.values()]
            transaction.on_commit(partial(media.delete_many, made))
        return False
    # These fields may have changed during the preparation, and the patient's date of birth may have been corrected.
    image.refresh_from_db(fields=["owner", "guest", "department", "patient", "age_years", "view", "priority"])
    warnings = [*outside_training(image.age, image.view), *prepared.warnings]
    readings = [
        Reading(
            image=image,
            bundle=bundle,
            shadow=bool(place),
            # The result of a shadow reading is never urgent.
            priority=Priority.BULK if place else image.priority,
            input=name,
            input_sha256=prepared.input_hashes.get(bundle, ""),
            region=prepared.region,
            warnings=warnings,
            dispatched_at=now,
            ready_at=now,
        )
        for place, (bundle, name) in enumerate(prepared.inputs.items())
    ]
    paused = pauses.current()
    for reading in readings:
        turns.begin(reading, image, now, paused)
    Reading.objects.bulk_create(readings)
    ready = [reading for reading in readings if reading.state == ReadingState.READY]
    transaction.on_commit(partial(_send, ready))
    logger.info("image %s prepared", image.pk, extra=correlation.log_fields(image))
    return True


def _send(readings: Sequence[Reading]) -> None:
    """Send messages for new readings. Readings in a long line need none, as workers continue with the line."""
    dispatch.send_readings([one for one in readings if not (one.is_by_turn and turns.is_long(one.bundle))])


@atomically
def refund_attempt(image_id: UUID) -> None:
    """Do not count an attempt to prepare an image that failed for an external reason."""
    Image.objects.filter(pk=image_id, status=Status.QUEUED, attempts__gt=0).update(attempts=F("attempts") - 1)


@atomically
def prepare_again(served: Collection[str], limit: int) -> int:
    """Send images back to their preparation if they wait for a model that no worker has any more.

    Args:
        served: the bundles that workers read with now, except shadow models.
        limit: the largest number of images.

    Returns:
        The number of images that were sent back.
    """
    waits = (ReadingState.READY, ReadingState.HELD)
    waiting = Reading.objects.filter(state__in=waits, shadow=False).exclude(bundle__in=served)
    # In the order of the index. Few readings wait among all, but SQLite does not know this and would read all of them.
    in_order = waiting.order_by("state", "bundle", "-priority", "turn")
    ids: Sequence[UUID] = list(in_order.values_list("image", flat=True)[:limit])
    if not ids:
        return 0
    lost = list(waiting.filter(image__in=ids).select_for_update().values_list("image", "input"))
    ids = [image for image, _ in lost]
    # Shadow readings are deleted too: preparation creates them again, and one may be by the new primary model.
    Reading.objects.filter(image__in=ids).delete()
    images = Image.objects.filter(pk__in=ids, status=Status.READY)
    images.update(status=Status.QUEUED, attempts=0, dispatches=1, dispatched_at=timezone.now())
    log_each(ids, "is prepared again: its model is not there any more")
    transaction.on_commit(partial(_send_and_clear, ids, [name for _, name in lost if name]))
    return len(ids)


def _send_and_clear(image_ids: Sequence[UUID], inputs: Sequence[str]) -> None:
    dispatch.send(dispatch.INGEST, list(Image.objects.filter(pk__in=image_ids)))
    for name in inputs:
        default_storage.delete(name)
