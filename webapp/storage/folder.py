"""Store files in a folder, which may be a shared volume; :mod:`webapp.storage.s3` uses an S3-compatible store instead.

Both distinguish two errors for the workers: with a missing file (``FileNotFoundError``) the image fails, with an
unreachable storage (any other ``OSError``) the image waits.
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

#: Suffix of an incomplete file. If a crash leaves one behind, it belongs to no row.
UNFINISHED = ".part"
#: Threads that sync files. File systems flush files together that are synced at the same time, so this takes a fraction
#: of the time.
THREADS = 8
#: Bytes per write. After each write a thread may have to wait for Python's global interpreter lock.
PART = 2**20


class StorageUnavailable(OSError):
    """The storage does not respond, or refuses a request."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a storage.

    Attributes:
        name: its name in the storage, as in the database.
        modified: when it was written, as a Unix time.
        size: its size in bytes.
    """

    name: str
    modified: float
    size: int


class LocalStorage(FileSystemStorage):
    """A folder of this machine or a volume.

    A saved file survives a power failure: it is written under a temporary name, synced and renamed, and its folder is
    synced. Replacing a file is therefore atomic as well.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._batch = threading.local()
        # Folders whose own names this process has synced.
        self._durable_folders: set[Path] = set()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Sync the files that this thread saves within the block together, which is many times faster.

        The files get their final names and can be read when the block ends. If it raises an error, all are deleted.
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
        # A folder that was deleted and is made again is no longer durable.
        folder = path.parent
        while not folder.is_dir():
            self._durable_folders.discard(folder)
            folder = folder.parent
        content.DEFAULT_CHUNK_SIZE = PART
        try:
            super()._save(name + mark, content)  # type: ignore[misc]  # the stubs lack it
        except BaseException:
            # Delete the partial file, since the disk may be full.
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
        """Make written files durable and give them their final names.

        Args:
            files: the temporary and the final path of each.
        """
        _sync_all(unfinished for unfinished, _ in files)
        for unfinished, path in files:
            unfinished.replace(path)
        folders = {path.parent for _, path in files}
        # Another process may have made a folder without syncing its name yet, so each process does that once.
        unknown = {new for folder in folders - self._durable_folders for new in self._unknown(folder)}
        _sync_all(folders | {new.parent for new in unknown})
        self._durable_folders |= unknown

    def _unknown(self, folder: Path) -> Iterator[Path]:
        """Yield the folder and its parents, up to the storage's own folder, whose names may not be on the disk yet."""
        root = Path(self.location)
        for candidate in (folder, *folder.parents):
            if candidate == root.parent or candidate in self._durable_folders:
                return
            yield candidate

    def _open(self, name: str, mode: str = "rb") -> File:
        try:
            return super()._open(name, mode)  # type: ignore[misc,no-any-return]  # the stubs lack it
        except FileNotFoundError:
            # Without the mounted volume, the folder is empty or missing, and has no subfolders for the kinds of files.
            kind = Path(self.path(name.split("/")[0]))
            if not kind.exists():
                raise StorageUnavailable(f"{kind} is not there; is the volume mounted?") from None
            raise

    def open_seekable(self, name: str) -> File:
        """Open a file; see :class:`webapp.storage.s3.S3Storage`. Every file in a folder is seekable."""
        return self.open(name)

    def is_there(self) -> bool:
        """Whether files can be stored."""
        return os.access(self.location, os.W_OK | os.X_OK)

    def delete_many(self, names: Collection[str]) -> list[str]:
        """Delete files. Files that do not exist count as deleted.

        Returns:
            The names of those that could not be deleted.
        """
        failed = []
        for name in names:
            try:
                self.delete(name)
            except OSError as error:
                logger.warning("a file cannot be deleted: %s", error.strerror)
                failed.append(name)
        return failed

    def walk(self, kind: str, after: str = "") -> Iterator[StoredFile]:
        """Yield the files of a kind (``uploads``, ``inputs``, …) after a given name, in the order of their names.

        Only the entries of one folder per level are in memory.
        """
        yield from self._walk(kind, after)

    def _walk(self, folder: str, after: str) -> Iterator[StoredFile]:
        try:
            with os.scandir(self.path(folder)) as entries:
                # With a trailing slash a folder is sorted like the names in it.
                sorted_entries = sorted(
                    (f"{folder}/{entry.name}{'/' if entry.is_dir() else ''}", entry) for entry in entries
                )
        except FileNotFoundError:
            return
        for name, entry in sorted_entries:
            if name.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self._walk(name[:-1], after)
            elif name > after:
                try:
                    stat = entry.stat()
                except FileNotFoundError:
                    continue
                yield StoredFile(name, stat.st_mtime, stat.st_size)


def sync(path: str | Path) -> None:
    """Write a file's content, or the names in a folder, to the disk before this returns.

    Raises:
        OSError: the disk cannot write it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(paths: Iterable[Path]) -> None:
    files = list(paths)
    if len(files) > 1:
        # Each thread gets a share of the files: handing over files one by one takes longer than syncing them.
        shares = [files[first::THREADS] for first in range(min(THREADS, len(files)))]
        # A process at its memory limit may not be able to start a thread.
        with suppress(RuntimeError):
            list(_threads().map(_sync_each, shares))
            return
    _sync_each(files)


def _sync_each(paths: Iterable[Path]) -> None:
    for path in paths:
        sync(path)


@cache
def _threads() -> ThreadPoolExecutor:
    """The threads that sync files. They are kept, since starting them takes longer than they save for a few files."""
    return ThreadPoolExecutor(THREADS, "sync")


# A forked process has none of these threads.
os.register_at_fork(after_in_child=_threads.cache_clear)
