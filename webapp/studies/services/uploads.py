"""Accept uploads: store the bytes, then the rows, then send the messages."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import names, signatures
from webapp.studies.files.hashes import content_hash
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Study
from webapp.studies.ownership import Sent
from webapp.studies.services import idempotency, limits
from webapp.studies.services.completion import study_progressed
from webapp.studies.services.contents import look_into
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
        Refused: where the file can be refused from its first bytes, or the day's limit is reached.
    """
    signatures.check_image(file)
    image = Image(**_sender(identity, department), **_new(filename, file.size, priority))
    with limits.daily_bytes(identity, file.size), _removed_on_refusal([image]):
        _store(image, file)
        _keep_image(identity, image, patient, key)
    logger.info("image %s accepted, %s", image.pk, priority, extra=correlation.log_fields(image))
    return image


@atomically
def _keep_image(identity: Identity, image: Image, patient: str, key: IdempotencyKey | None) -> None:
    image.patient = _patient(image, patient)
    image.save(force_insert=True)
    idempotency.keep(key, image)
    record(identity, Action.CREATE, image)
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
        Refused: where these are ZIPs of which none can be read, or the study breaks a limit.
    """
    study = Study(name=names.clean(name)[:255], **_sender(identity, department))
    with _stored(identity, study, files, study.uploaded_by) as (images, archives):
        _keep_study(identity, study, images, archives, patient, key)
    logger.info("study %s accepted: %d images, %d archives", study.pk, len(images), len(archives))
    return study


def add_to_study(
    identity: Identity, study: Study, files: Sequence[File], *, key: IdempotencyKey | None = None
) -> Study:
    """Store more files of a study and have them read.

    Raises:
        Refused: ``study_cancelled``, or as :func:`create_study` does.
    """
    sender = identity.user if study.department_id else None
    with _stored(identity, study, files, sender) as (images, archives):
        _keep_more(identity, study, images, archives, key)
    logger.info("study %s: %d images and %d archives added", study.pk, len(images), len(archives))
    return study


@contextmanager
def _stored(
    identity: Identity, study: Study, files: Sequence[File], uploaded_by: User | None
) -> Iterator[tuple[list[Image], list[Archive]]]:
    """Rows of a study, not yet saved, whose files are stored within the limits. The block saves them."""
    sent, study.skipped = look_into(files)
    size = sum(one.size for one in sent)
    limits.check_study(study, sum(one.count for one in sent), size)
    with limits.daily_bytes(identity, size):
        # Files have their names when the batch ends, which is before their rows are saved.
        with default_storage.batch():  # type: ignore[attr-defined]  # both of ours have it
            images = [
                study_image(study, one.file, str(one.file.name), one.refused, uploaded_by)
                for one in sent
                if one.entries is None
            ]
            archives = [
                _new_archive(study, one.file, len(one.entries), uploaded_by) for one in sent if one.entries is not None
            ]
        with _removed_on_refusal([*images, *archives]):
            yield images, archives


def _new_archive(study: Study, file: File, total: int, uploaded_by: User | None) -> Archive:
    archive = Archive(
        study=study,
        uploaded_by=uploaded_by,
        filename=names.filename(str(file.name)),
        total=total,
        dispatched_at=timezone.now(),
        request_id=correlation.request_id(),
    )
    file.seek(0)
    archive.file = default_storage.save(_path("archives", archive.pk, ".zip"), file)
    return archive


@atomically
def _keep_study(
    by: Identity, study: Study, images: list[Image], archives: list[Archive], patient: str, key: IdempotencyKey | None
) -> None:
    study.patient = _patient(study, patient)
    study.save(force_insert=True)
    _keep_files(study, images, archives, key)
    record(by, Action.CREATE, study, images=len(images), archives=len(archives))


@atomically
def _keep_more(
    identity: Identity, study: Study, images: list[Image], archives: list[Archive], key: IdempotencyKey | None
) -> None:
    if Study.objects.select_for_update().get(pk=study.pk).cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    _keep_files(study, images, archives, key)
    record(identity, Action.CHANGE, study, images=len(images), archives=len(archives))


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
            if row.file:
                default_storage.delete(str(row.file.name))
        raise


def study_image(
    study: Study, file: File, filename: str, refused: Refused | None, uploaded_by: User | None, pk: UUID | None = None
) -> Image:
    """An image row of a study, not yet saved, with its file stored.

    One that was refused has failed already, and has no file; nor has one of a study that was cancelled.
    """
    fields = _new(filename, file.size, Priority.BULK)
    image = Image(pk=pk or uuid4(), study=study, **study.ownership, uploaded_by=uploaded_by, **fields)
    if refused:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refused.code, refused.detail
    elif not study.cancelled_at:
        _store(image, file)
    return image


def _new(filename: str, size: int, priority: str) -> dict[str, Any]:
    """The fields of a new image that do not depend on whose it is."""
    return {
        "filename": names.filename(filename),
        "size": size,
        "priority": priority,
        "dispatched_at": timezone.now(),
        "request_id": correlation.request_id(),
    }


def _store(image: Image, file: File) -> None:
    """Store an image's file: before its row, since a row without its file would be a broken promise."""
    image.sha256 = content_hash(file)
    file.seek(0)
    image.file = default_storage.save(_path("uploads", image.pk, signatures.suffix(file)), file)


def _path(kind: str, pk: UUID, suffix: str) -> str:
    return f"{kind}/{pk.hex[:2]}/{pk}{suffix}"


def _sender(identity: Identity, department: Department | None) -> dict[str, Any]:
    """Whose an upload is, and for a department who sent it."""
    if department:
        return {"department": department, "uploaded_by": identity.user}
    return {"owner": identity.user, "guest": identity.guest}


def _patient(sent: Sent, identifier: str) -> Patient | None:
    """The patient of that name who belongs to the same owner, made where there is none."""
    identifier = names.clean(identifier)[:128]
    if not identifier:
        return None
    patient, _ = Patient.objects.get_or_create(**sent.ownership, identifier=identifier)
    return patient
