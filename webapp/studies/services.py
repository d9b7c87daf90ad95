"""What changes the world. Every change of status is a compare-and-set on the row, so a message that is delivered
twice does its work once, and a late result never overwrites a cancellation.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.config import correlation
from webapp.studies import dispatch, sniff, zips
from webapp.studies.models import WAITING, Archive, Image, Label, Patient, Prediction, Priority, Status, Study
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

CRASHED = (
    "worker_crashed",
    f"Reading this image stopped the worker {settings.MAX_ATTEMPTS} times, so it was set aside. "
    "Please report it to the administrator; other images are not affected.",
)


# --- uploads --------------------------------------------------------------------------------------------------------


def create_image(
    identity: Identity, file: File, *, filename: str, patient: str = "", priority: str = Priority.INTERACTIVE
) -> Image:
    """Store one uploaded image and have it read.

    Raises:
        Problem: where the file can be refused from its first bytes.
    """
    sniff.check_image(file)
    image = _new_image(identity, file, filename=filename, priority=priority)
    _keep_image(image, identity, patient)
    logger.info("image %s accepted, %s", image.pk, priority, extra=correlation.of(image))
    return image


@atomically
def _keep_image(image: Image, identity: Identity, patient: str) -> None:
    image.patient = _patient(identity, patient)
    image.save(force_insert=True)
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, [image]))


def create_study(identity: Identity, files: Sequence[File], *, name: str = "", patient: str = "") -> Study:
    """Store many files, ZIPs among them, as one study and have them read.

    A file that is no image becomes a failed image: it is listed with its reason, and the others go on.

    Raises:
        Problem: where a ZIP cannot be read or breaks a limit.
    """
    listed = [(file, zips.entries(file) if sniff.is_zip(file) else None) for file in files]
    study = Study(name=name[:255], owner=identity.user, guest=identity.guest)
    images, archives = [], []
    now = timezone.now()
    for file, entries in listed:
        if entries is None:
            images.append(_study_image(study, identity, file, str(file.name)))
        else:
            archive = Archive(
                study=study,
                filename=str(file.name)[:255],
                total=len(entries),
                dispatched_at=now,
                request_id=correlation.request_id(),
            )
            archive.file = default_storage.save(_path("archives", archive.pk, ".zip"), file)
            archives.append(archive)
    _keep_study(study, images, archives, identity, patient)
    logger.info("study %s accepted: %d images, %d archives", study.pk, len(images), len(archives))
    return study


@atomically
def _keep_study(study: Study, images: list[Image], archives: list[Archive], identity: Identity, patient: str) -> None:
    study.patient = _patient(identity, patient)
    study.save(force_insert=True)
    for image in images:
        image.patient = study.patient
    Archive.objects.bulk_create(archives)
    Image.objects.bulk_create(images)
    queued = [image for image in images if image.status == Status.QUEUED]
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))
    for archive in archives:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))


def unpack(archive_id: UUID, chunk: int = 20) -> int:
    """Make images of a ZIP's entries. What an interrupted run has made is not made again.

    Returns:
        How many images were made.
    """
    archive = Archive.objects.select_related("study__owner", "study__patient").get(pk=archive_id)
    correlation.add(request_id=archive.request_id)
    if archive.state != Archive.State.QUEUED:
        return 0
    if archive.attempts >= settings.MAX_ATTEMPTS:
        fail_archive(archive_id, *CRASHED)
        return 0
    _start_unpacking(archive)
    study = archive.study
    identity = Identity(user=study.owner, guest=study.guest)
    done = set(archive.images.values_list("archive_index", flat=True))
    made = 0
    with archive.file.open("rb") as stream:
        remaining = [entry for entry in zips.entries(stream) if entry.index not in done]
        for start in range(0, len(remaining), chunk):
            images = []
            for entry in remaining[start : start + chunk]:
                with zips.read(stream, entry) as content:
                    image = _study_image(study, identity, content, entry.filename)
                image.patient = study.patient
                image.archive, image.archive_index = archive, entry.index
                images.append(image)
            _keep_entries(archive, images)
            made += len(images)
    _finish_unpacking(archive)
    logger.info("archive %s unpacked: %d images", archive_id, made)
    return made


@atomically
def _start_unpacking(archive: Archive) -> None:
    Archive.objects.filter(pk=archive.pk).update(attempts=F("attempts") + 1, dispatched_at=timezone.now())


@atomically
def _keep_entries(archive: Archive, images: list[Image]) -> None:
    if Study.objects.filter(pk=archive.study_id, cancelled_at__isnull=False).exists():
        for image in images:
            image.status = Status.CANCELLED
            image.finished_at = timezone.now()
    Image.objects.bulk_create(images, ignore_conflicts=True)
    Archive.objects.filter(pk=archive.pk).update(dispatched_at=timezone.now())
    queued = [image for image in images if image.status == Status.QUEUED]
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))


@atomically
def _finish_unpacking(archive: Archive) -> None:
    unpacked = Archive.objects.filter(pk=archive.pk, state=Archive.State.QUEUED)
    unpacked.update(state=Archive.State.UNPACKED, attempts=0)
    # Its images are stored now; keeping the ZIP would keep everything twice.
    transaction.on_commit(partial(default_storage.delete, str(archive.file.name)), robust=True)


@atomically
def excuse_archive(archive_id: UUID) -> None:
    """Take back an attempt to unpack a ZIP that failed for a reason outside of it."""
    Archive.objects.filter(pk=archive_id, state=Archive.State.QUEUED, attempts__gt=0).update(attempts=F("attempts") - 1)


@atomically
def fail_archive(archive_id: UUID, code: str, detail: str) -> None:
    Archive.objects.filter(pk=archive_id, state=Archive.State.QUEUED).update(
        state=Archive.State.FAILED, error_code=code, error_detail=detail[:500]
    )
    logger.warning("archive %s failed: %s", archive_id, code)


def _study_image(study: Study, identity: Identity, file: File, filename: str) -> Image:
    """An image row of a study, not yet saved; already failed where its first bytes say that it is none."""
    image = _new_image(identity, file, filename=filename, priority=Priority.BULK)
    image.study = study
    refusal = sniff.refusal(file)
    if refusal:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refusal.code, str(refusal.detail)
    return image


def _new_image(identity: Identity, file: File, *, filename: str, priority: str) -> Image:
    image = Image(
        owner=identity.user,
        guest=identity.guest,
        filename=filename[-255:],
        size=file.size,
        priority=priority,
        dispatched_at=timezone.now(),
        request_id=correlation.request_id(),
    )
    file.seek(0)
    # The bytes come first: a row without its file would be a broken promise, a file without a row is only litter.
    image.file = default_storage.save(_path("uploads", image.pk, sniff.suffix(file)), file)
    return image


def _path(kind: str, pk: UUID, suffix: str) -> str:
    return f"{kind}/{pk.hex[:2]}/{pk}{suffix}"


def _patient(identity: Identity, identifier: str) -> Patient | None:
    if not identifier:
        return None
    patient, _ = Patient.objects.get_or_create(
        owner=identity.user, guest=identity.guest, identifier=identifier[:128], defaults={}
    )
    return patient


# --- preparation ----------------------------------------------------------------------------------------------------


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
        correlation.add(**correlation.of(image))
        return image
    _set_aside([image_id])
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
        logger.info("image %s prepared", image.pk, extra=correlation.of(image))
    return bool(moved)


@atomically
def excuse(image_id: UUID) -> None:
    """Take back an attempt to prepare an image that failed for a reason outside of it."""
    Image.objects.filter(pk=image_id, status=Status.QUEUED, attempts__gt=0).update(attempts=F("attempts") - 1)


@atomically
def fail(image_id: UUID, code: str, detail: str) -> bool:
    """Fail an image that has not come to an end."""
    failed = Image.objects.filter(pk=image_id, status__in=WAITING).update(
        status=Status.FAILED, error_code=code, error_detail=detail[:500], finished_at=timezone.now(), claim=None
    )
    if failed:
        _tell([image_id], f"failed: {code}")
    return bool(failed)


# --- reading --------------------------------------------------------------------------------------------------------


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
        _set_aside(image_ids)
    return token, list(Image.objects.filter(claim=token)) if taken else []


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
    return len(held)


@atomically
def put_back(token: UUID, image_ids: Collection[UUID]) -> int:
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
    _tell(held, "given back: its worker is gone")
    _set_aside(ids)
    return released


def _set_aside(image_ids: Sequence[UUID]) -> None:
    """Fail those that have stopped a worker too often."""
    suspects = Image.objects.filter(
        pk__in=image_ids, status__in=(Status.QUEUED, Status.READY), attempts__gte=settings.MAX_ATTEMPTS
    )
    if guilty := list(suspects.values_list("pk", flat=True)):
        suspects.update(
            status=Status.FAILED, error_code=CRASHED[0], error_detail=CRASHED[1], finished_at=timezone.now()
        )
        _tell(guilty, f"failed: {CRASHED[0]}")


def _tell(image_ids: Sequence[UUID], what: str) -> None:
    """Log what befell some images, a line for each."""
    for image in Image.objects.filter(pk__in=image_ids).only("request_id"):
        logger.warning("image %s %s", image.pk, what, extra=correlation.of(image))


# --- cancelling -----------------------------------------------------------------------------------------------------


@atomically
def cancel_image(image: Image) -> bool:
    """Cancel an image that has no result yet."""
    cancelled = Image.objects.filter(pk=image.pk, status__in=WAITING).update(
        status=Status.CANCELLED, finished_at=timezone.now(), claim=None
    )
    if cancelled:
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
    if not waiting and not study.archives.filter(state=Archive.State.QUEUED).exists():
        return 0
    Study.objects.filter(pk=study.pk, cancelled_at__isnull=True).update(cancelled_at=now)
    cancelled = study.images.filter(status__in=WAITING).update(status=Status.CANCELLED, finished_at=now, claim=None)
    logger.info("study %s cancelled, %d images of it", study.pk, cancelled)
    return cancelled


# --- reconciling ----------------------------------------------------------------------------------------------------


def reconcile(limit: int = 2000) -> dict[str, Any]:
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
            waiting = Image.objects.filter(status=status, priority=priority)
            overdue = waiting.overdue()
            if not overdue.exists():
                continue
            missing = waiting.count() - dispatch.messages_waiting(dispatch.queue_of(step, priority))
            lost = list(overdue[: max(0, min(missing, limit))])
            _send_again(step, lost)
            resent += len(lost)
    late = timezone.now() - timedelta(seconds=4 * settings.RESEND_AFTER_SECONDS)
    archives = list(Archive.objects.filter(state=Archive.State.QUEUED, dispatched_at__lt=late)[:limit])
    for archive in archives:
        _mark_sent(archive)
        dispatch.send_unpack(archive.pk)
    return {"released": released, "resent": resent, "archives": len(archives)}


def _send_again(step: str, images: Sequence[Image]) -> None:
    _count_message(images)
    for image in images:
        logger.info("image %s is sent to %s again", image.pk, step, extra=correlation.of(image))
    dispatch.send(step, images)


@atomically
def _count_message(images: Sequence[Image]) -> None:
    Image.objects.filter(pk__in=[image.pk for image in images]).update(
        dispatched_at=timezone.now(), dispatches=F("dispatches") + 1
    )


@atomically
def _mark_sent(archive: Archive) -> None:
    Archive.objects.filter(pk=archive.pk).update(dispatched_at=timezone.now())
