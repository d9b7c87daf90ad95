"""Unpack ZIPs into images, one chunk at a time."""

import logging
import time
from functools import partial
from uuid import uuid4, uuid5

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error, transaction
from django.utils import timezone

from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import signatures, zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.particulars import Particulars
from webapp.studies.services import descriptions, patients, pauses, turns
from webapp.studies.services.completion import study_progressed
from webapp.studies.services.storing import study_image
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

CRASHED = (
    "worker_crashed",
    f"Unpacking this ZIP stopped the worker {settings.MAX_ATTEMPTS} times, so it was set aside. "
    "Please report it to the administrator; other uploads are not affected.",
)
IN_A_ZIP = Refused("archive_not_here", "This is a ZIP inside a ZIP, which is not unpacked. Please send it separately.")
#: Messages sent between two updates of the database: the most that are sent twice when a worker is killed.
MESSAGES_AT_ONCE = 50


def unpack(worker: str = "") -> int:
    """Create images from the next files of the ZIP whose turn it is, and send the message for its next chunk.

    Do nothing if other runs hold all ZIPs or nothing is left to unpack.

    Args:
        worker: the name of the worker that runs this.

    Returns:
        The number of images that were created.

    Raises:
        Error, OSError: the database or the storage failed. The reconciler sends the message again.
    """
    archive = _claim(worker)
    if archive is None:
        return 0
    correlation.add(request_id=archive.request_id)
    try:
        return _unpack_chunk(archive)
    except Refused as refused:
        fail_archive(archive, refused.code, refused.detail)
    except FileNotFoundError:
        fail_archive(archive, "file_missing", "The ZIP is gone from the storage. Please upload it again.")
    except (Error, OSError):
        _release(archive)
        raise
    return 0


def _unpack_chunk(archive: Archive) -> int:
    with (
        media.open_seekable(str(archive.file.name)) as stream,
        zips.opened(stream) as unzipped,
    ):
        remaining = _remaining(archive, unzipped.entries)
        # Files get their names when the batch ends, which is before their rows are saved.
        with media.batch():
            images, done = _images(archive, unzipped, remaining)
    try:
        written = _write_chunk(archive, images, done, finished=done == len(remaining))
    except Study.DoesNotExist:
        # The study was deleted in the meantime, with everything that belonged to it.
        for image in images:
            default_storage.delete(str(image.file.name))
        return 0
    if not written:
        logger.warning("archive %s: the claim was lost, another run makes these images", archive.pk)
        return 0
    logger.info("archive %s: %d images made, %d files left", archive.pk, len(images), len(remaining) - done)
    return len(images)


def _remaining(archive: Archive, entries: list[zips.Entry]) -> list[zips.Entry]:
    """Return the files of a ZIP that have not become images yet."""
    if len(entries) == archive.total:
        return entries[archive.unpacked :]
    # The release that received the ZIP skipped other files, so its count of unpacked files is no index into these.
    existing = set(archive.images.values_list("archive_index", flat=True))
    return [entry for entry in entries if entry.index not in existing]


def _images(archive: Archive, unzipped: zips.Archive, entries: list[zips.Entry]) -> tuple[list[Image], int]:
    """Store the files of as many entries as fit into a chunk. Return their unsaved images and the number of entries."""
    until = time.monotonic() + settings.UNPACK_CHUNK_SECONDS
    entries = entries[: settings.UNPACK_CHUNK_FILES]
    # A worker of an earlier release does not count unpacked entries.
    existing = archive.images.filter(archive_index__in=[entry.index for entry in entries])
    existing_indexes = set(existing.values_list("archive_index", flat=True))
    images, done = [], 0
    for entry in entries:
        if entry.index not in existing_indexes:
            images.append(_image(archive, unzipped, entry))
        done += 1
        if time.monotonic() > until:
            break
    return images, done


def _image(archive: Archive, unzipped: zips.Archive, entry: zips.Entry) -> Image:
    """Return an entry's unsaved image. Its id is derived from its index, so that another run stores the same file."""
    content, refused = ContentFile(b""), None
    if not archive.study.cancelled_at:
        content, refused = _content(unzipped, entry)
    pk = uuid5(archive.pk, str(entry.index))
    image = study_image(archive.study, content, entry.filename, refused, archive.uploaded_by, pk=pk)
    image.size = entry.size
    image.archive, image.archive_index = archive, entry.index
    return image


def _content(unzipped: zips.Archive, entry: zips.Entry) -> tuple[ContentFile, Refused | None]:
    """Return an entry's content, and the reason if it is refused."""
    if refused := entry.refused or signatures.size_refusal(entry.size):
        return ContentFile(b""), refused
    try:
        content = unzipped.read(entry)
    except Refused as error:
        return ContentFile(b""), error
    if signatures.is_zip(content):
        return content, IN_A_ZIP
    return content, signatures.refusal(content)


@atomically
def _claim(worker: str) -> Archive | None:
    in_line = Archive.objects.by_turn()
    if paused := pauses.current():
        in_line = in_line.exclude(paused.archives())
    # Two workers that claim at once get different ZIPs, if the database can skip locked rows.
    first = in_line.lock_free().values_list("pk", flat=True).first()
    claimed = (
        Archive.objects.waiting()
        .filter(pk=first)
        .update(state=Archive.State.UNPACKING, claim=uuid4(), claimed_at=timezone.now(), missed=0, claimed_by=worker)
    )
    return Archive.objects.select_related("study__patient", "uploaded_by").get(pk=first) if claimed else None


@atomically
def _write_chunk(archive: Archive, images: list[Image], done: int, *, finished: bool) -> bool:
    """Write a chunk's images and release the ZIP. Return False if the run has lost its claim.

    Raises:
        Study.DoesNotExist: the study has been deleted.
    """
    # A request that cancels the study either waits for this lock and then cancels the images, or has been here before
    # and they are cancelled below.
    study = Study.objects.select_for_update().get(pk=archive.study_id)
    archive.refresh_from_db(fields=["particulars"])  # a manifest may have arrived since the chunk was begun
    now = timezone.now()
    if not finished:
        turns.line_up_archives(study, [archive])
    held = Archive.objects.filter(pk=archive.pk, claim=archive.claim).update(
        turn=archive.turn,
        state=Archive.State.UNPACKED if finished else Archive.State.UNPACKING,
        unpacked=min(archive.unpacked + done, archive.total),
        claim=None,
        attempts=0,
        dispatches=1,
        dispatched_at=now,
        finished_at=now if finished else None,
        **({"particulars": None} if finished else {}),
    )
    if not held:
        return False
    rows = archive.particulars or {}
    details = [Particulars.from_json(rows.get(str(image.archive_index))) for image in images]
    people = patients.named(study, {one.patient: "" for one in details if one.patient})
    for image, one in zip(images, details, strict=True):
        descriptions.describe(image, one)
        # The guest who sent the ZIP may have signed in since the chunk was begun.
        image.belong_with(study)
        image.patient = people.get(one.patient, study.patient)
        if study.cancelled_at and image.status == Status.QUEUED:
            image.status, image.finished_at = Status.CANCELLED, now
        # Messages are counted when they are sent. Images that need no message count as sent.
        image.dispatches = 0 if image.status == Status.QUEUED else 1
    turns.line_up(images)
    Image.objects.bulk_create(images)
    if finished:
        study_progressed([study.pk])
        # All images are stored now. Keeping the ZIP would store everything twice.
        transaction.on_commit(partial(delete_zip, archive), robust=True)
    else:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))
    transaction.on_commit(partial(send_new, [image for image in images if image.status == Status.QUEUED]))
    return True


def send_new(images: list[Image]) -> None:
    """Send the first message for each of some images, and count these messages."""
    for start in range(0, len(images), MESSAGES_AT_ONCE):
        batch = images[start : start + MESSAGES_AT_ONCE]
        if not dispatch.send(dispatch.INGEST, batch):
            return
        _count_first_message(batch)


@atomically
def _count_first_message(images: list[Image]) -> None:
    unsent = Image.objects.filter(pk__in=[image.pk for image in images], dispatches=0)
    unsent.update(dispatches=1, dispatched_at=timezone.now())


def delete_zip(archive: Archive) -> None:
    """Delete an unpacked ZIP's file. Its name is cleared last, so that a ZIP that is still stored can be found."""
    default_storage.delete(str(archive.file.name))
    Archive.objects.filter(pk=archive.pk).update(file="")


@atomically
def _release(archive: Archive) -> None:
    """Release a ZIP that could not be unpacked because the database or the storage failed."""
    Archive.objects.filter(pk=archive.pk, claim=archive.claim).update(claim=None, dispatched_at=timezone.now())


@atomically
def fail_archive(archive: Archive, code: str, detail: str) -> None:
    """Mark a ZIP as failed, unless another run holds it."""
    failed = Archive.objects.filter(pk=archive.pk, state__in=Archive.PENDING, claim=archive.claim).update(
        state=Archive.State.FAILED,
        claim=None,
        particulars=None,
        error_code=code,
        error_detail=detail[:500],
        finished_at=timezone.now(),
    )
    if failed:
        study_progressed([archive.study_id])
        logger.warning("archive %s failed: %s", archive.pk, code)
