"""Store the files of an upload, and create their rows without saving them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DataError, IntegrityError
from django.utils import timezone

from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.studies.choices import Priority, Status
from webapp.studies.files import names, signatures
from webapp.studies.files.hashes import content_hash
from webapp.studies.models import Archive, Image, Study


def study_image(
    study: Study, file: File, filename: str, refused: Refused | None, uploaded_by: User | None, pk: UUID | None = None
) -> Image:
    """Store a file, and return its image in a study, not yet saved.

    A refused file is not stored, and its image has already failed. A file of a cancelled study is not stored either.
    """
    given = fields(filename, file.size, Priority.INTERACTIVE if study.stat else Priority.BULK)
    image = Image(
        pk=pk or uuid4(), study=study, stat=study.stat, **study.ownership, uploaded_by=uploaded_by, **given
    )  # fmt: skip
    if refused:
        image.status, image.finished_at = Status.FAILED, timezone.now()
        image.error_code, image.error_detail = refused.code, refused.detail
    elif not study.cancelled_at:
        store(image, file)
    return image


def fields(filename: str, size: int, priority: str) -> dict[str, Any]:
    """Return the fields of a new image that do not depend on its owner."""
    return {
        "filename": names.filename(filename),
        "size": size,
        "priority": priority,
        "dispatched_at": timezone.now(),
        "request_id": correlation.request_id(),
    }


def store(image: Image, file: File) -> None:
    """Store an image's file. This is done before its row is saved, so that there is never a row without its file."""
    image.sha256 = image.sha256 or content_hash(file)
    file.seek(0)
    image.file = default_storage.save(_path("uploads", image.pk, signatures.suffix(file)), file)


def _path(kind: str, pk: UUID, suffix: str) -> str:
    return f"{kind}/{pk.hex[:2]}/{pk}{suffix}"


def archive(study: Study, file: File, total: int, size: int, uploaded_by: User | None) -> Archive:
    made = Archive(
        study=study,
        uploaded_by=uploaded_by,
        filename=names.filename(str(file.name)),
        total=total,
        size=size,
        dispatched_at=timezone.now(),
        request_id=correlation.request_id(),
    )
    file.seek(0)
    made.file = default_storage.save(_path("archives", made.pk, ".zip"), file)
    return made


@contextmanager
def removed_on_refusal(rows: Sequence[Image | Archive]) -> Iterator[None]:
    """Delete the stored files of rows that the database or a service refuses, for example if a request is repeated."""
    try:
        yield
    except (DataError, IntegrityError, Refused):
        for row in rows:
            if row.file:
                default_storage.delete(str(row.file.name))
        raise
