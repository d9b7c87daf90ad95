"""Files of unfinished uploads in the folder ``RESUMABLE_DIR``. Each grows with every part."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from django.conf import settings
from django.core.files import File

from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable, sync

CHUNK = 2**20
#: A file that no upload needs is deleted after this time without a write.
ORPHAN_AGE = timedelta(days=1)


class Gone(Exception):
    """The file does not exist, or lacks bytes that were acknowledged."""


def create(upload_id: UUID) -> None:
    """Create an empty file whose name survives a power cut."""
    path = _path(upload_id)
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            sync(str(path.parent.parent))
        path.touch(mode=0o640, exist_ok=False)
        sync(str(path.parent))
    except OSError as error:
        raise StorageUnavailable(str(error)) from error


@contextmanager
def locked(upload_id: UUID) -> Iterator[IO[bytes]]:
    """Open an upload's file with an exclusive lock. If the process dies, the kernel releases the lock.

    Raises:
        Gone: the file does not exist.
        Refused: ``upload_busy`` while another request holds the lock.
    """
    try:
        file = _path(upload_id).open("r+b")
    except FileNotFoundError:
        if not Path(settings.RESUMABLE_DIR).is_dir():
            raise StorageUnavailable(f"{settings.RESUMABLE_DIR} is not there; is the volume mounted?") from None
        raise Gone from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                "upload_busy", "Another request is sending this upload. Please try again in a moment.", retry_after=2
            ) from None
        if not os.fstat(file.fileno()).st_nlink:  # deleted in between
            raise Gone
        yield file


def append(file: IO[bytes], offset: int, body: IO[bytes], size: int, checksum: tuple[str, bytes] | None) -> None:
    """Append a part, and sync it to disk before returning.

    Args:
        file: from :func:`locked`. Its bytes after the offset were never acknowledged, and are dropped.
        offset: where the part begins.
        body: the part's bytes.
        size: number of bytes in the part.
        checksum: the name of an algorithm of :mod:`hashlib`, and the expected digest of the part.

    Raises:
        Gone: the file is shorter than the offset.
        Refused: ``checksum_mismatch``, or ``malformed_request`` if the part is shorter than declared.
    """
    if os.fstat(file.fileno()).st_size < offset:
        raise Gone
    digest, remaining = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None, size
    try:
        file.truncate(offset)
        file.seek(offset)
        while remaining and (chunk := body.read(min(CHUNK, remaining))):
            file.write(chunk)
            remaining -= len(chunk)
            if digest:
                digest.update(chunk)
        file.flush()
        sync(file.name)
    except OSError as error:
        raise StorageUnavailable(str(error)) from error
    if remaining:
        raise Refused("malformed_request", "The request's body is shorter than its Content-Length.")
    if checksum and digest and digest.digest() != checksum[1]:
        raise Refused("checksum_mismatch", "The checksum does not match this part. Please send it again.")


class Received(File):
    """A complete file. The storage keeps it under a second name, so the first remains until the rows are committed."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(file, name)
        self._path = Path(file.name)

    def temporary_file_path(self) -> str:
        """The path of a hard link, from which Django's storage can move the file instead of copying it."""
        link = self._path.with_suffix(".whole")
        link.unlink(missing_ok=True)
        link.hardlink_to(self._path)
        return str(link)


def delete(upload_id: UUID) -> None:
    for path in (_path(upload_id), _path(upload_id).with_suffix(".whole")):
        path.unlink(missing_ok=True)


def orphan_candidates() -> Iterator[tuple[UUID, Path]]:
    """Files that have not been written for :data:`ORPHAN_AGE`, each with the id of its upload."""
    folder = Path(settings.RESUMABLE_DIR)
    latest = time.time() - ORPHAN_AGE.total_seconds()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < latest:
                yield UUID(path.stem), path
        except (FileNotFoundError, ValueError):
            continue


def _path(upload_id: UUID) -> Path:
    return Path(settings.RESUMABLE_DIR) / f"{upload_id}.part"
