"""Files in a folder, which may be a shared volume; :mod:`webapp.storage.s3` keeps them in an S3-compatible store.

Both tell apart what the workers must: a file that is gone (``FileNotFoundError``), which fails its image, and a storage
that is away (any other ``OSError``), for which the image waits.
"""

import logging
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage

logger = logging.getLogger(__name__)


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
    """A folder of this machine or a volume."""

    def _open(self, name: str, mode: str = "rb") -> File:
        try:
            return super()._open(name, mode)  # type: ignore[misc,no-any-return]  # the stubs lack it
        except FileNotFoundError:
            # Where nothing is mounted there is an empty folder, or none; the kinds of files have folders of their own.
            kind = Path(self.path(name.split("/")[0]))
            if not kind.exists():
                raise StorageUnavailable(f"{kind} is not there; is the volume mounted?") from None
            raise

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
