"""Files on the disk: which are to be sent, and how their bytes are read."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from pneumoqueue.errors import FileChanged, UsageError

CHUNK = 2**20
#: What operating systems leave in folders, in lower case.
LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
LITTER_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "@eadir"}
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Found:
    """A file as it was when it was looked at.

    Attributes:
        path: absolute.
        name: within the folder that was named, with slashes.
        size: in bytes.
        mtime_ns: when it was written last.
    """

    path: str
    name: str
    size: int
    mtime_ns: int

    @property
    def base(self) -> str:
        """The name without folders, as forms carry it."""
        return self.name.rpartition("/")[2]

    @property
    def is_unchanged(self) -> bool:
        try:
            now = Path(self.path).stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


def found(path: Path, name: str) -> Found:
    about = path.stat()
    return Found(str(path.absolute()), name, about.st_size, about.st_mtime_ns)


def find(arguments: Iterable[Path]) -> Iterator[Found]:
    """The files that arguments name, those of folders in the order of their names.

    Raises:
        UsageError: an argument names nothing.
    """
    for argument in arguments:
        if argument.is_dir():
            yield from walk(argument)
        elif argument.is_file():
            yield found(argument, argument.name)
        else:
            raise UsageError(f"There is no file or folder {argument}.")


def walk(folder: Path, leave_out: Iterable[Path] = ()) -> Iterator[Found]:
    """The files in a folder and those below it, without hidden ones."""
    left_out = set(leave_out)
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and name.lower() not in LITTER_FOLDERS and here / name not in left_out
        )
        for name in sorted(names):
            if name[0] == "." or name.lower() in LITTER:
                continue
            path = here / name
            try:
                if path.is_file():
                    yield found(path, path.relative_to(folder).as_posix())
            except FileNotFoundError:
                continue  # it has just been taken away


def sha256(file: Found) -> str:
    digest = hashlib.sha256()
    with Path(file.path).open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_zip(file: Found) -> bool:
    with Path(file.path).open("rb") as stream:
        return stream.read(4) in (b"PK\3\4", b"PK\5\6")


def first_entry_sha256(file: Found) -> str:
    """The hash of a file in a ZIP, by which its images can be recognised; empty where it cannot be read."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            entry = next((one for one in archive.infolist() if one.file_size and not one.is_dir()), None)
            if entry is None:
                return ""
            digest = hashlib.sha256()
            with archive.open(entry) as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
            return digest.hexdigest()
    # Errors of zipfile for damaged or truncated ZIPs and entries, unknown compressions, and passwords.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return ""


class Body:
    """A file as a part of a form, opened when its turn comes, so that a request of any number of files holds one open.

    Args:
        file: what is read; it has to be what it was.
        read: is called with the size of each piece read.
    """

    def __init__(self, file: Found, read: Callable[[int], None] = lambda size: None) -> None:
        self._file, self._report = file, read
        self._stream: Any = None
        self._read = self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """To the end and back, which is how httpx asks for the size."""
        self._position = self._file.size if whence == os.SEEK_END else offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self._stream is None:
            if not self._file.is_unchanged:
                raise FileChanged(self._file.path)
            self._stream = Path(self._file.path).open("rb")  # noqa: SIM115  # closed at its end
        chunk: bytes = self._stream.read(size)
        self._read += len(chunk)
        self._report(len(chunk))
        if not chunk:
            self._stream.close()
        if self._read > self._file.size or (not chunk and self._read != self._file.size):
            self._stream.close()
            raise FileChanged(self._file.path)
        return chunk
