"""Files in a folder, which may be a shared volume; :mod:`webapp.storage.s3` keeps them in an S3-compatible store.

Both distinguish two errors for the workers: a missing file (``FileNotFoundError``), which fails its image, and an
unreachable storage (any other ``OSError``), for which the image waits.
"""

import logging
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage

logger = logging.getLogger(__name__)

#: Ends the name of a file that is not yet whole. One that a crash leaves behind belongs to no row.
UNFINISHED = ".part"
#: File systems flush files that are synced at the same time together, so threads take a fraction of the time.
THREADS = 8
#: Bytes that are written at once: after each part a thread waits for its turn at Python again.
PART = 2**20


class StorageUnavailable(OSError):
    """The storage does not answer, or refuses to."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a storage.

    Attributes:
        name: as rows have it.
        modified: when it was written, as a Unix time.
        size: bytes.
    """

    name: str
    modified: float
    size: int


class LocalStorage(FileSystemStorage):
    """A folder of this machine or a volume.

    A saved file survives a power cut: it is written under a temporary name, synced, renamed, and its folder is synced.
    Replacing a file is therefore atomic, too.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._batch = threading.local()
        # Folders whose own names this process has synced.
        self._durable_folders: set[Path] = set()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Sync the files that this thread saves within the block together, which is many times faster.

        They have their final names and can be read when the block ends. If it raises, all are deleted.
        """
        outer = getattr(self._batch, "files", None)
        pending: list[tuple[Path, Path]] = []
        self._batch.files = pending
        try:
            yield
            self._finish(pending)
        except BaseException:
            for unfinished, _ in pending:
                unfinished.unlink(missing_ok=True)
            raise
        finally:
            self._batch.files = outer

    def _save(self, name: str, content: File) -> str:
        path = Path(self.path(name))
        mark = f".{token_hex(4)}{UNFINISHED}"
        unfinished = path.with_name(path.name + mark)
        # A folder that somebody has deleted, and which is made anew, is not durable any more.
        folder = path.parent
        while not folder.is_dir():
            self._durable_folders.discard(folder)
            folder = folder.parent
        content.DEFAULT_CHUNK_SIZE = PART
        try:
            super()._save(name + mark, content)  # type: ignore[misc]  # the stubs lack it
        except BaseException:
            # A partial file would only fill a disk that may already be full.
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        pending = getattr(self._batch, "files", None)
        if pending is None:
            self._finish([(unfinished, path)])
        else:
            pending.append((unfinished, path))
        return name

    def _finish(self, files: list[tuple[Path, Path]]) -> None:
        """Make written files durable and give them their names.

        Args:
            files: temporary and final path of each.
        """
        _sync_all(unfinished for unfinished, _ in files)
        for unfinished, path in files:
            unfinished.replace(path)
        folders = {path.parent for _, path in files}
        # Another process may have made a folder and not synced its name yet, so each process does so once.
        unknown = {new for folder in folders - self._durable_folders for new in self._unknown(folder)}
        _sync_all(folders | {new.parent for new in unknown})
        self._durable_folders |= unknown

    def _unknown(self, folder: Path) -> Iterator[Path]:
        """Those of a folder, those above it, and the storage's own whose names may not be on the disk yet."""
        root = Path(self.location)
        for one in (folder, *folder.parents):
            if one == root.parent or one in self._durable_folders:
                return
            yield one

    def _open(self, name: str, mode: str = "rb") -> File:
        try:
            return super()._open(name, mode)  # type: ignore[misc,no-any-return]  # the stubs lack it
        except FileNotFoundError:
            # Without the mounted volume the folder is empty or missing, so it has no folders for the kinds of files.
            kind = Path(self.path(name.split("/")[0]))
            if not kind.exists():
                raise StorageUnavailable(f"{kind} is not there; is the volume mounted?") from None
            raise

    def open_seekable(self, name: str) -> File:
        """As for :class:`webapp.storage.s3.S3Storage`; every file of a folder is seekable."""
        return self.open(name)

    def is_there(self) -> bool:
        """Whether a file could be stored."""
        return os.access(self.location, os.W_OK | os.X_OK)

    def delete_many(self, names: Collection[str]) -> list[str]:
        """Delete files; those that are gone already count as deleted.

        Returns:
            The names of those that could not be deleted.
        """
        left = []
        for name in names:
            try:
                self.delete(name)
            except OSError as error:
                logger.warning("a file cannot be deleted: %s", error.strerror)
                left.append(name)
        return left

    def walk(self, kind: str, after: str = "") -> Iterator[StoredFile]:
        """The files of a kind (``uploads``, ``inputs``, …) in the order of their names, those after a name only.

        One folder at a time is held in memory.
        """
        yield from self._walk(kind, after)

    def _walk(self, folder: str, after: str) -> Iterator[StoredFile]:
        try:
            with os.scandir(self.path(folder)) as entries:
                # With its slash a folder stands where the names in it do.
                found = sorted((f"{folder}/{entry.name}{'/' if entry.is_dir() else ''}", entry) for entry in entries)
        except FileNotFoundError:
            return
        for name, entry in found:
            if name.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self._walk(name[:-1], after)
            elif name > after:
                try:
                    about = entry.stat()
                except FileNotFoundError:
                    continue
                yield StoredFile(name, about.st_mtime, about.st_size)


def sync(path: str | Path) -> None:
    """Have a file's content, or the names in a folder, on the disk before this returns.

    Raises:
        OSError: where the disk cannot.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(paths: Iterable[Path]) -> None:
    several = list(paths)
    if len(several) > 1:
        # Each thread has a share: to hand it one file after the other takes longer than to sync them.
        shares = [several[first::THREADS] for first in range(min(THREADS, len(several)))]
        # A process that is at its limit of memory may not be able to start a thread.
        with suppress(RuntimeError):
            list(_threads().map(_sync_each, shares))
            return
    _sync_each(several)


def _sync_each(paths: Iterable[Path]) -> None:
    for path in paths:
        sync(path)


@cache
def _threads() -> ThreadPoolExecutor:
    """Those that sync files. They stay: to begin them takes longer than they save where the files are few."""
    return ThreadPoolExecutor(THREADS, "sync")


# A process that is forked has none of them.
os.register_at_fork(after_in_child=_threads.cache_clear)
