"""Unpack ZIPs into images."""

import logging
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
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services.completion import study_progressed
from webapp.studies.services.failures import CRASHED
from webapp.studies.services.uploads import study_image
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def unpack(archive_id: UUID, chunk: int = 20) -> int:
    """Make images of a ZIP's entries. What an interrupted run has made is not made again.

    Returns:
        How many images were made.
    """
    archive = Archive.objects.select_related("study__patient", "uploaded_by").get(pk=archive_id)
    correlation.add(request_id=archive.request_id)
    if archive.state != Archive.State.QUEUED:
        return 0
    if archive.attempts >= settings.MAX_ATTEMPTS:
        fail_archive(archive_id, *CRASHED)
        return 0
    _start_unpacking(archive)
    study = archive.study
    done = set(archive.images.values_list("archive_index", flat=True))
    made = 0
    with archive.file.open("rb") as stream:
        remaining = [entry for entry in zips.entries(stream) if entry.index not in done]
        for start in range(0, len(remaining), chunk):
            images = []
            for entry in remaining[start : start + chunk]:
                with zips.read(stream, entry) as content:
                    image = study_image(study, content, entry.filename, archive.uploaded_by)
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
    if unpacked.update(state=Archive.State.UNPACKED, attempts=0):
        study_progressed([archive.study_id])
    # Its images are stored now; keeping the ZIP would keep everything twice.
    transaction.on_commit(partial(default_storage.delete, str(archive.file.name)), robust=True)


@atomically
def refund_archive_attempt(archive_id: UUID) -> None:
    """Take back an attempt to unpack a ZIP that failed for a reason outside of it."""
    Archive.objects.filter(pk=archive_id, state=Archive.State.QUEUED, attempts__gt=0).update(attempts=F("attempts") - 1)


@atomically
def fail_archive(archive_id: UUID, code: str, detail: str) -> None:
    failed = Archive.objects.filter(pk=archive_id, state=Archive.State.QUEUED).update(
        state=Archive.State.FAILED, error_code=code, error_detail=detail[:500]
    )
    if failed:
        study_progressed(Archive.objects.filter(pk=archive_id).values_list("study_id", flat=True))
    logger.warning("archive %s failed: %s", archive_id, code)
