"""Accept uploads: store the bytes, then the rows, then send the messages."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import signatures, zips
from webapp.studies.files.hashes import content_hash
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Study
from webapp.studies.ownership import Sent
from webapp.studies.services import idempotency
from webapp.studies.services.completion import study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def create_image(
    identity: Identity,
    file: File,
    *,
    filename: str,
    patient: str = "",
    priority: str = Priority.INTERACTIVE,
    department: Department | None = None,
    key: IdempotencyKey | None = None,
) -> Image:
    """Store one uploaded image and have it read.

    Args:
        department: the one that will own it, in place of the identity.
        key: of the request; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: where the file can be refused from its first bytes.
    """
    signatures.check_image(file)
    image = _new_image(file, filename, priority, **_sender(identity, department))
    with _removed_on_refusal([image]):
        _keep_image(image, patient, key)
    logger.info("image %s accepted, %s", image.pk, priority, extra=correlation.log_fields(image))
    return image


@atomically
def _keep_image(image: Image, patient: str, key: IdempotencyKey | None) -> None:
    image.patient = _patient(image, patient)
    image.save(force_insert=True)
    idempotency.keep(key, image)
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, [image]))


def create_study(
    identity: Identity,
    files: Sequence[File],
    *,
    name: str = "",
    patient: str = "",
    department: Department | None = None,
    key: IdempotencyKey | None = None,
) -> Study:
    """Store many files, ZIPs among them, as one study and have them read.

    A file that is no image becomes a failed image: it is listed with its reason, and the others go on.

    Args:
        department: the one that will own it, in place of the identity.
        key: of the request; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: where a ZIP cannot be read or breaks a limit.
    """
    study = Study(name=name[:255], **_sender(identity, department))
    images, archives = _stored(study, files, study.uploaded_by)
    with _removed_on_refusal([*images, *archives]):
        _keep_study(study, images, archives, patient, key)
    logger.info("study %s accepted: %d images, %d archives", study.pk, len(images), len(archives))
    return study


def add_to_study(
    identity: Identity, study: Study, files: Sequence[File], *, key: IdempotencyKey | None = None
) -> Study:
    """Store more files of a study and have them read.

    Raises:
        Refused: ``study_cancelled``, or as :func:`create_study` does.
    """
    images, archives = _stored(study, files, identity.user if study.department_id else None)
    with _removed_on_refusal([*images, *archives]):
        _keep_more(study, images, archives, key)
    logger.info("study %s: %d images and %d archives added", study.pk, len(images), len(archives))
    return study


def _stored(study: Study, files: Sequence[File], uploaded_by: User | None) -> tuple[list[Image], list[Archive]]:
    """Rows of a study, not yet saved, whose files are stored."""
    listed = [(file, zips.entries(file) if signatures.is_zip(file) else None) for file in files]
    images, archives = [], []
    now = timezone.now()
    for file, entries in listed:
        if entries is None:
            images.append(study_image(study, file, str(file.name), uploaded_by))
        else:
            archive = Archive(
                study=study,
                filename=str(file.name)[:255],
                total=len(entries),
                uploaded_by=uploaded_by,
                dispatched_at=now,
                request_id=correlation.request_id(),
            )
            archive.file = default_storage.save(_path("archives", archive.pk, ".zip"), file)
            archives.append(archive)
    return images, archives


@atomically
def _keep_study(
    study: Study, images: list[Image], archives: list[Archive], patient: str, key: IdempotencyKey | None
) -> None:
    study.patient = _patient(study, patient)
    study.save(force_insert=True)
    _keep_files(study, images, archives, key)


@atomically
def _keep_more(study: Study, images: list[Image], archives: list[Archive], key: IdempotencyKey | None) -> None:
    if Study.objects.select_for_update().get(pk=study.pk).cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    _keep_files(study, images, archives, key)


def _keep_files(study: Study, images: list[Image], archives: list[Archive], key: IdempotencyKey | None) -> None:
    for image in images:
        image.patient = study.patient
    Archive.objects.bulk_create(archives)
    Image.objects.bulk_create(images)
    idempotency.keep(key, study)
    queued = [image for image in images if image.status == Status.QUEUED]
    if not queued:
        study_progressed([study.pk])
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))
    for archive in archives:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))


@contextmanager
def _removed_on_refusal(rows: Sequence[Image | Archive]) -> Iterator[None]:
    """Delete the stored files of rows that the database or the domain refuses, as a replayed request's are."""
    try:
        yield
    except (IntegrityError, Refused):
        for row in rows:
            default_storage.delete(str(row.file.name))
        raise


def study_image(study: Study, file: File, filename: str, uploaded_by: User | None) -> Image:
    """An image row of a study, not yet saved; already failed where its first bytes say that it is none."""
    image = _new_image(file, filename, Priority.BULK, **study.ownership, uploaded_by=uploaded_by)
    image.study = study
    refusal = signatures.refusal(file)
    if refusal:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refusal.code, refusal.detail
    return image


def _new_image(file: File, filename: str, priority: str, **sender: Any) -> Image:
    image = Image(
        **sender,
        filename=filename[-255:],
        size=file.size,
        sha256=content_hash(file),
        priority=priority,
        dispatched_at=timezone.now(),
        request_id=correlation.request_id(),
    )
    file.seek(0)
    # The bytes come first: a row without its file would be a broken promise, a file without a row is only litter.
    image.file = default_storage.save(_path("uploads", image.pk, signatures.suffix(file)), file)
    return image


def _path(kind: str, pk: UUID, suffix: str) -> str:
    return f"{kind}/{pk.hex[:2]}/{pk}{suffix}"


def _sender(identity: Identity, department: Department | None) -> dict[str, Any]:
    """Whose an upload is, and for a department who sent it."""
    if department:
        return {"department": department, "uploaded_by": identity.user}
    return {"owner": identity.user, "guest": identity.guest}


def _patient(sent: Sent, identifier: str) -> Patient | None:
    """The patient of that name who belongs to the same owner, made where there is none."""
    if not identifier:
        return None
    patient, _ = Patient.objects.get_or_create(**sent.ownership, identifier=identifier[:128])
    return patient
