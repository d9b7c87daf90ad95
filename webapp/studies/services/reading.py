"""Claim ready readings for batches, write their results, or return them.

Each change of a primary reading changes its image's status in the same transaction. The reading is changed first.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from webapp.studies.choices import ReadingState, ResultGroup, Status, group_of
from webapp.studies.expressions import ByImage
from webapp.studies.models import Image, Reading
from webapp.studies.services import pauses, turns
from webapp.studies.services.completion import IMAGES_POSITIVE, announce_images, announce_results, finish
from webapp.studies.services.failures import CRASHED, log_each
from webapp.studies.services.judging import labelled_outside_training, with_current_warnings
from webapp.studies.services.list_columns import list_columns
from webapp.studies.services.results import Model as Model
from webapp.studies.services.results import Result as Result
from webapp.studies.transactions import atomically


@atomically
def claim(token: UUID, worker: UUID, bundle: str, image_ids: Sequence[UUID], bulk: int = 0) -> list[Reading]:
    """Claim ready readings for one batch and count the attempt.

    Args:
        token: the batch's token. It holds the batch's readings until they are returned or their results are written.
        worker: the worker that reads the batch. The claims of dead workers are released.
        bundle: the worker's model. Readings by other models are not claimed.
        image_ids: the ids of images whose readings are claimed.
        bulk: the number of places for bulk readings. These are claimed in the order of their turns, whichever images
            their messages name.

    Returns:
        The readings that the claim holds: those that no other batch has claimed, in no particular order.
    """
    count, paused = 0, pauses.current()
    if image_ids:
        requested = Reading.objects.filter(image__in=image_ids, bundle=bundle, attempts__lt=settings.MAX_ATTEMPTS)
        if paused:
            requested = requested.exclude(paused.readings())  # the reconciler holds them
        count = _take(requested, token, worker)
        if count < len(image_ids):
            _fail_suspects(image_ids)
    while bulk and (keys := turns.due(bundle, bulk, paused)):
        added = _take(Reading.objects.filter(pk__in=keys), token, worker)
        count += added
        bulk -= added
    if not count:
        return []
    held = list(Reading.objects.held(token).select_related("image__department"))
    primary = [reading.image_id for reading in held if not reading.shadow]
    Image.objects.filter(pk__in=primary, status=Status.READY).update(status=Status.RUNNING)
    return held


def _take(readings: QuerySet[Reading], token: UUID, worker: UUID) -> int:
    return readings.filter(state=ReadingState.READY).update(
        state=ReadingState.RUNNING, claim=token, worker=worker, claimed_at=timezone.now(), attempts=F("attempts") + 1
    )


@atomically
def succeed(token: UUID, results: Sequence[Result], model: Model, *, seconds: float) -> int:
    """Write a batch's results for the readings that its claim still holds.

    Args:
        token: the batch's token.
        results: one result for each reading.
        model: the model that produced them.
        seconds: the time that the model took for the batch.

    Returns:
        The number of results that were written.
    """
    if not results:
        return 0
    results = with_current_warnings(token, results)
    labelled = labelled_outside_training(results)
    used = {result.image_id: result.operating_point or model.operating_point for result in results}
    points = {result.image_id: dict(result.operating_points or model.operating_points) for result in results}
    thresholds = {image: points[image].get(point, model.threshold) for image, point in used.items()}
    columns: dict[str, dict[UUID, Any]] = {
        "operating_point": used,
        "operating_points": points,
        "calibration": {result.image_id: result.calibration for result in results},
        "threshold": thresholds,
        "probabilities": {result.image_id: dict(result.probabilities) for result in results},
        "probability": {result.image_id: result.probability for result in results},
        "label": {result.image_id: result.label for result in results},
        "group": {
            result.image_id: str(
                group_of(
                    result.probability,
                    thresholds[result.image_id],
                    points[result.image_id],
                    result.warnings,
                    label_outside_training=result.image_id in labelled,
                )
            )
            for result in results
        },
        "warnings": {result.image_id: list(result.warnings) for result in results},
        "heatmap": {result.image_id: result.heatmap for result in results},
        "distance": {result.image_id: result.distance for result in results},
        "evidence_inside_lungs": {result.image_id: result.evidence_inside_lungs for result in results},
    }
    ids = [result.image_id for result in results]
    # One statement checks the claim and writes the results, so that nothing can happen in between.
    written = Reading.objects.held(token, ids).update(
        state=ReadingState.SUCCEEDED,
        finished_at=timezone.now(),
        batch_size=len(results),
        seconds=seconds,
        **{name: ByImage(Reading, name, values) for name, values in columns.items()},
    )
    if written:
        ended = _ended(token, ids, ReadingState.SUCCEEDED)
        finish(_images_of(ended, ids), Status.SUCCEEDED, **list_columns(results, columns["group"]))
        announce_results(_images_of(ended, ids))
        _announce_positives(ended, [pk for pk, group in columns["group"].items() if group == ResultGroup.POSITIVE])
    return written


def _announce_positives(ended: QuerySet[Reading], image_ids: Collection[UUID]) -> None:
    if image_ids:
        positive = _images_of(ended, image_ids).filter(guest=None).values_list("pk", flat=True)
        announce_images(IMAGES_POSITIVE, list(positive))


@atomically
def fail(token: UUID, image_id: UUID, code: str, detail: str) -> bool:
    """Mark a reading that the claim still holds as failed, and its image if this is the primary reading."""
    failed = Reading.objects.held(token, [image_id]).update(
        state=ReadingState.FAILED, error_code=code, error_detail=detail[:500], finished_at=timezone.now()
    )
    if failed:
        ended = _ended(token, [image_id], ReadingState.FAILED)
        finish(_images_of(ended, [image_id]), Status.FAILED, code, detail)
        log_each([image_id], f"failed: {code}")
    return bool(failed)


def written(token: UUID, image_ids: Collection[UUID]) -> set[UUID]:
    """Return the ids of images whose results a batch has written."""
    return set(_ended(token, image_ids, ReadingState.SUCCEEDED).values_list("image", flat=True))


def ready(bundle: str, image_ids: Collection[UUID]) -> list[Reading]:
    """Return the ready readings of some images for a model."""
    waiting = Reading.objects.filter(image__in=image_ids, bundle=bundle, state=ReadingState.READY)
    return list(waiting.select_related("image"))


@atomically
def return_unread(token: UUID, image_ids: Collection[UUID]) -> int:
    """Release a claim's readings of images that could not be read for an external reason. Do not count the attempt.

    The reconciler sends them again.
    """
    return _make_ready(token, image_ids, attempts=F("attempts") - 1)


@atomically
def release(token: UUID) -> int:
    """Release the readings of a lost batch. Their attempts stay counted.

    The reconciler sends messages again for readings with turns. A worker still has the messages for the others.
    """
    held = list(Reading.objects.held(token).values_list("image", flat=True))
    released = _make_ready(token, held)
    log_each(held, "given back: its batch is lost")
    _fail_suspects(held)
    return released


@atomically
def release_abandoned(living: "Collection[UUID] | QuerySet[Any]", limit: int) -> list[Reading]:
    """Release the readings that dead workers hold.

    Args:
        living: the live workers; see :meth:`webapp.studies.querysets.ReadingQuerySet.abandoned`.
        limit: the largest number of readings to release.

    Returns:
        The readings that are ready again.
    """
    # The readings are selected by their claims: one that was claimed again in the meantime has another claim.
    abandoned = list(Reading.objects.abandoned(living).only("image", "claim")[:limit])
    if not abandoned:
        return []
    ids, claims = [reading.image_id for reading in abandoned], {reading.claim for reading in abandoned}
    rows = Reading.objects.filter(pk__in=[reading.pk for reading in abandoned], claim__in=claims)
    rows.filter(state=ReadingState.RUNNING).update(state=ReadingState.READY, dispatched_at=timezone.now())
    released = rows.filter(state=ReadingState.READY)
    _images_of(released, ids).filter(status=Status.RUNNING).update(status=Status.READY)
    returned = list(released.values_list("pk", "image"))
    released.update(claim=None, worker=None)
    log_each([image for _, image in returned], "given back: its worker is gone")
    _fail_suspects([image for _, image in returned])
    ready = Reading.objects.filter(pk__in=[pk for pk, _ in returned], state=ReadingState.READY)
    return list(ready.select_related("image"))


def _make_ready(token: UUID, image_ids: Collection[UUID], **changes: Any) -> int:
    held = Reading.objects.held(token, image_ids)
    # The claim is cleared last, because it selects these rows.
    returned = held.update(state=ReadingState.READY, dispatched_at=timezone.now(), **changes)
    if returned:
        released = _ended(token, image_ids, ReadingState.READY)
        _images_of(released, image_ids).filter(status=Status.RUNNING).update(status=Status.READY)
        released.update(claim=None, worker=None)
    return returned


def _fail_suspects(image_ids: Collection[UUID]) -> None:
    """Mark readings as failed if they have stopped workers too often."""
    suspects = Reading.objects.filter(
        image__in=image_ids, state=ReadingState.READY, attempts__gte=settings.MAX_ATTEMPTS
    )
    if crashed := list(suspects.values_list("pk", "image")):
        failed = Reading.objects.filter(pk__in=[pk for pk, _ in crashed], state=ReadingState.READY)
        failed.update(
            state=ReadingState.FAILED, error_code=CRASHED[0], error_detail=CRASHED[1], finished_at=timezone.now()
        )
        ids = [image for _, image in crashed]
        ended = Reading.objects.filter(pk__in=[pk for pk, _ in crashed], state=ReadingState.FAILED)
        finish(_images_of(ended, ids), Status.FAILED, *CRASHED)
        log_each(ids, f"failed: {CRASHED[0]}")


def _ended(token: UUID, image_ids: Collection[UUID], state: str) -> QuerySet[Reading]:
    """Return a claim's readings that have just reached a state."""
    return Reading.objects.filter(image__in=image_ids, claim=token, state=state)


def _images_of(readings: QuerySet[Reading], image_ids: Collection[UUID]) -> Any:
    """Return the images whose primary readings are among some readings.

    The ids are given as well, because MariaDB would otherwise run the inner query for every image.
    """
    return Image.objects.filter(pk__in=image_ids).filter(pk__in=readings.filter(shadow=False).values("image"))
