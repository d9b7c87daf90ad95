"""Accept uploads: store the bytes, then the rows, then send the messages."""

import hashlib
import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import signatures, zips
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.services.completion import study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def create_image(
    identity: Identity, file: File, *, filename: str, patient: str = "", priority: str = Priority.INTERACTIVE
) -> Image:
    """Store one uploaded image and have it read.

    Raises:
        Refused: where the file can be refused from its first bytes.
    """
    signatures.check_image(file)
    image = _new_image(identity, file, filename=filename, priority=priority)
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
        Refused: where a ZIP cannot be read or breaks a limit.
    """
    listed = [(file, zips.entries(file) if signatures.is_zip(file) else None) for file in files]
    study = Study(name=name[:255], owner=identity.user, guest=identity.guest)
    images, archives = [], []
    now = timezone.now()
    with default_storage.batch():  # type: ignore[attr-defined]  # both of ours have it
        for file, entries in listed:
            if entries is None:
                images.append(study_image(study, identity, file, str(file.name)))
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
    if not queued:
        study_progressed([study.pk])
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))
    for archive in archives:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))


def study_image(study: Study, identity: Identity, file: File, filename: str) -> Image:
    """An image row of a study, not yet saved; already failed where its first bytes say that it is none."""
    image = _new_image(identity, file, filename=filename, priority=Priority.BULK)
    image.study = study
    refusal = signatures.refusal(file)
    if refusal:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refusal.code, refusal.detail
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
    image.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    # The bytes come first: a row without its file would be a broken promise, a file without a row is only litter.
    image.file = default_storage.save(_path("uploads", image.pk, signatures.suffix(file)), file)
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
