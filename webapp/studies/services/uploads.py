"""Accept uploads: store the bytes, then the rows, then send the messages."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import signatures, zips
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.services import limits
from webapp.studies.services.completion import study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def create_image(
    identity: Identity, file: File, *, filename: str, patient: str = "", priority: str = Priority.INTERACTIVE
) -> Image:
    """Store one uploaded image and have it read.

    Raises:
        Refused: where the file can be refused from its first bytes, or the day's limit is reached.
    """
    signatures.check_image(file)
    with limits.daily_bytes(identity, file.size):
        image = Image(owner=identity.user, guest=identity.guest, **_new(filename, file.size, priority))
        _store(image, file)
        _keep_image(image, identity, patient)
    logger.info("image %s accepted, %s", image.pk, priority, extra=correlation.log_fields(image))
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
        Refused: where a ZIP cannot be read, or the study breaks a limit.
    """
    listed = [(file, zips.entries(file) if signatures.is_zip(file) else None) for file in files]
    sizes = [file.size if entries is None else sum(entry.size for entry in entries) for file, entries in listed]
    limits.check_study(sum(1 if entries is None else len(entries) for _, entries in listed), sum(sizes))
    study = Study(name=name[:255], owner=identity.user, guest=identity.guest)
    with limits.daily_bytes(identity, sum(sizes)):
        images = [study_image(study, file, str(file.name), signatures.refusal(file))
                  for file, entries in listed if entries is None]  # fmt: skip
        archives = [_new_archive(study, file, len(entries)) for file, entries in listed if entries is not None]
        _keep_study(study, images, archives, identity, patient)
    logger.info("study %s accepted: %d images, %d archives", study.pk, len(images), len(archives))
    return study


def _new_archive(study: Study, file: File, total: int) -> Archive:
    archive = Archive(
        study=study,
        filename=str(file.name)[:255],
        total=total,
        dispatched_at=timezone.now(),
        request_id=correlation.request_id(),
    )
    file.seek(0)
    archive.file = default_storage.save(_path("archives", archive.pk, ".zip"), file)
    return archive


@atomically
def _keep_study(study: Study, images: list[Image], archives: list[Archive], identity: Identity, patient: str) -> None:
    study.patient = _patient(identity, patient)
    study.save(force_insert=True)
    for image in images:
        image.patient = study.patient
    Archive.objects.bulk_create(archives)
    Image.objects.bulk_create(images)
    queued = [image for image in images if image.status == Status.QUEUED]
    if not queued:
        study_progressed([study.pk])
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))
    for archive in archives:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))


def study_image(study: Study, file: File, filename: str, refused: Refused | None, pk: UUID | None = None) -> Image:
    """An image row of a study, not yet saved, with its file stored.

    One that was refused has failed already, and has no file; nor has one of a study that was cancelled.
    """
    fields = _new(filename, file.size, Priority.BULK)
    image = Image(pk=pk or uuid4(), study=study, owner=study.owner, guest=study.guest, **fields)
    if refused:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refused.code, refused.detail
    elif not study.cancelled_at:
        _store(image, file)
    return image


def _new(filename: str, size: int, priority: str) -> dict[str, Any]:
    """The fields of a new image that do not depend on whose it is."""
    return {
        "filename": filename[-255:],
        "size": size,
        "priority": priority,
        "dispatched_at": timezone.now(),
        "request_id": correlation.request_id(),
    }


def _store(image: Image, file: File) -> None:
    """Store an image's file: before its row, since a row without its file would be a broken promise."""
    file.seek(0)
    image.file = default_storage.save(_path("uploads", image.pk, signatures.suffix(file)), file)


def _path(kind: str, pk: UUID, suffix: str) -> str:
    return f"{kind}/{pk.hex[:2]}/{pk}{suffix}"


def _patient(identity: Identity, identifier: str) -> Patient | None:
    if not identifier:
        return None
    patient, _ = Patient.objects.get_or_create(
        owner=identity.user, guest=identity.guest, identifier=identifier[:128], defaults={}
    )
    return patient
