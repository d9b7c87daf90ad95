"""Files that grow with each part, in the folder ``RESUMABLE_DIR``: one for each upload that is not finished."""

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
#: Of a file that no upload needs, this is how long it is left alone.
LEFT_ALONE = timedelta(days=1)


class Gone(Exception):
    """The file is not there, or lacks bytes that were acknowledged."""


def make(upload_id: UUID) -> None:
    """Make an empty file whose name survives a power cut."""
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
    """An upload's file, which nobody else writes meanwhile. The kernel ends the lock with the process that has it.

    Raises:
        Gone: it is not there.
        Refused: ``upload_busy`` while another request has it.
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
    """Write a part behind what has come, and have it on the disk before this returns.

    Args:
        file: from :func:`locked`. What it has behind the offset was never acknowledged, and is dropped.
        offset: where the part begins.
        body: its bytes.
        size: how many.
        checksum: the name of an algorithm of :mod:`hashlib`, and what the part's digest has to be.

    Raises:
        Gone: the file is shorter than the offset.
        Refused: ``checksum_mismatch``, or ``malformed_request`` where the part is shorter than announced.
    """
    if os.fstat(file.fileno()).st_size < offset:
        raise Gone
    digest, left = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None, size
    try:
        file.truncate(offset)
        file.seek(offset)
        while left and (chunk := body.read(min(CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)
            if digest:
                digest.update(chunk)
        file.flush()
        sync(file.name)
    except OSError as error:
        raise StorageUnavailable(str(error)) from error
    if left:
        raise Refused("malformed_request", "The request's body is shorter than its Content-Length.")
    if checksum and digest and digest.digest() != checksum[1]:
        raise Refused("checksum_mismatch", "The checksum of this part is that of other bytes. Please send it again.")


class Received(File):
    """A whole file. Keeping it means giving it a second name: the first one stays until the rows are committed."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(file, name)
        self._path = Path(file.name)

    def temporary_file_path(self) -> str:
        """As Django's storage asks for where a file can be moved instead of copied."""
        second = self._path.with_suffix(".whole")
        second.unlink(missing_ok=True)
        second.hardlink_to(self._path)
        return str(second)


def delete(upload_id: UUID) -> None:
    for path in (_path(upload_id), _path(upload_id).with_suffix(".whole")):
        path.unlink(missing_ok=True)


def left_behind() -> Iterator[tuple[UUID, Path]]:
    """Files that have not been written for some time, with the uploads that they are of."""
    folder = Path(settings.RESUMABLE_DIR)
    latest = time.time() - LEFT_ALONE.total_seconds()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.stat().st_mtime < latest:
                yield UUID(path.stem), path
        except (FileNotFoundError, ValueError):
            continue


def _path(upload_id: UUID) -> Path:
    return Path(settings.RESUMABLE_DIR) / f"{upload_id}.part"
