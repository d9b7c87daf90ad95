"""Batches: claim ready images, write their results, or return them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from webapp.studies.choices import Label, Status
from webapp.studies.models import Image, Prediction
from webapp.studies.services.completion import images_ended
from webapp.studies.services.failures import fail_suspects, log_each
from webapp.studies.transactions import atomically


@dataclass(frozen=True)
class Result:
    """What the model said of one image."""

    image_id: UUID
    normal: float
    pneumonia: float
    label: str
    warnings: Sequence[dict[str, str]] = ()
    heatmap: bytes = b""


@atomically
def claim(image_ids: Sequence[UUID]) -> tuple[UUID, list[Image]]:
    """Take ready images for one batch and count the attempt.

    Returns:
        The claim, and the images that it holds: those that no other batch has, in no particular order.
    """
    token = uuid4()
    taken = Image.objects.filter(pk__in=image_ids, status=Status.READY, attempts__lt=settings.MAX_ATTEMPTS).update(
        status=Status.RUNNING, claim=token, claimed_at=timezone.now(), attempts=F("attempts") + 1
    )
    if taken < len(image_ids):
        fail_suspects(image_ids)
    return token, list(Image.objects.filter(pk__in=image_ids, claim=token)) if taken else []


@atomically
def succeed(
    token: UUID, results: Sequence[Result], *, model: str, threshold: float, seconds: float, operating_point: str = ""
) -> int:
    """Write a batch's results for those of its images that the claim still holds.

    Args:
        token: from :func:`claim`.
        results: one for each image.
        model: the bundle's name and version.
        threshold: the bundle's.
        seconds: the batch's time in the model.
        operating_point: the threshold's name.

    Returns:
        How many images were written.
    """
    ids = [result.image_id for result in results]
    # Their rows are locked, so that what is held here stays ours until the end.
    ours = Image.objects.select_for_update().filter(pk__in=ids, claim=token, status=Status.RUNNING).order_by("pk")
    held = set(ours.values_list("pk", flat=True))
    Prediction.objects.bulk_create(
        [
            Prediction(
                image_id=result.image_id,
                model=model,
                normal=result.normal,
                pneumonia=result.pneumonia,
                threshold=threshold,
                operating_point=operating_point,
                label=Label(result.label),
                warnings=list(result.warnings),
                heatmap=result.heatmap,
                batch_size=len(results),
                seconds=seconds,
            )
            for result in results
            if result.image_id in held
        ]
    )
    Image.objects.filter(pk__in=held).update(status=Status.SUCCEEDED, finished_at=timezone.now(), claim=None)
    images_ended(held)
    return len(held)


@atomically
def return_unread(token: UUID, image_ids: Collection[UUID]) -> int:
    """Give back those images of a claim that could not be read for a reason outside of them; the reconciler sends them
    again.
    """
    held = Image.objects.filter(pk__in=image_ids, claim=token, status=Status.RUNNING, attempts__gt=0)
    return held.update(status=Status.READY, claim=None, attempts=F("attempts") - 1, dispatched_at=timezone.now())


@atomically
def release(image_ids: Iterable[UUID]) -> int:
    """Give back the images of a batch whose worker is gone. Their attempt stays counted."""
    ids = list(image_ids)
    held = list(Image.objects.filter(pk__in=ids, status=Status.RUNNING).values_list("pk", flat=True))
    released = Image.objects.filter(pk__in=ids, status=Status.RUNNING).update(
        status=Status.READY, claim=None, dispatched_at=timezone.now()
    )
    log_each(held, "given back: its worker is gone")
    fail_suspects(ids)
    return released
