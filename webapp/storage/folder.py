"""Files in a folder, which may be a shared volume; :mod:`webapp.storage.s3` keeps them in an S3-compatible store.

Both tell apart what the workers must: a file that is gone (``FileNotFoundError``), which fails its image, and a storage
that is away (any other ``OSError``), for which the image waits.
"""

import os
from pathlib import Path

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class StorageUnavailable(OSError):
    """The storage does not answer, or refuses to."""


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

    def open_seekable(self, name: str) -> File:
        """As of :class:`webapp.storage.s3.S3Storage`; every file of a folder is seekable."""
        return self.open(name)

    def is_there(self) -> bool:
        """Whether a file could be stored."""
        return os.access(self.location, os.W_OK | os.X_OK)
