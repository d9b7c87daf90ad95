"""Copy the files that rows refer to, and compare each after copying."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import Storage
from django.db import models

from webapp.studies.models import Archive, Image, Reading
from webapp.transfer.rows import Source

THREADS = 8
CHUNK = 256


class Damaged(Exception):
    """A copy differs from its file."""


@dataclass(frozen=True)
class NamedFile:
    """A file that a row refers to, and its expected SHA-256, if known."""

    name: str
    sha256: str = ""


@dataclass
class Copied:
    """The outcome of copying files."""

    files: int = 0
    bytes: int = 0
    existing: int = 0
    missing: list[str] = field(default_factory=list)
    #: Files whose checksum differs from their row's. They are copied unchanged: reading one raises the same error.
    damaged: list[str] = field(default_factory=list)


def row_files(row: models.Model) -> list[NamedFile]:
    """The files of a row. A ZIP that was unpacked has none, because it was deleted on purpose."""
    if isinstance(row, Archive):
        return [NamedFile(str(row.file.name))] if row.file and row.state in Archive.PENDING else []
    if isinstance(row, Reading):
        return [NamedFile(str(row.input.name), row.input_sha256)] if row.input else []
    if not isinstance(row, Image):
        return []
    files = ((row.file.name, row.sha256), (row.preview.name, row.preview_hash))
    # An upload may be its own preview.
    return list(dict.fromkeys(NamedFile(name, sha256) for name, sha256 in files if name))


def named_files(source: Source) -> Iterator[list[NamedFile]]:
    """All files in chunks, ZIPs first."""
    waiting: list[NamedFile] = []
    for model in (Archive, Image, Reading):
        for rows in source(model):
            waiting += [name for row in rows for name in row_files(row)]
            if len(waiting) >= CHUNK:
                yield waiting
                waiting = []
    yield waiting


def copy_all(
    source: Source, open_file: Callable[[str], IO[bytes] | File], target: Storage, report: Callable[[Copied], Any]
) -> Copied:
    """Copy all files into a storage, several at a time.

    Args:
        source: the rows that refer to the files.
        open_file: returns a file's content, or raises FileNotFoundError.
        target: the storage to copy to. Identical files that it already has are not copied.
        report: called from time to time with the progress.

    Raises:
        Damaged: a stored copy differs from its file.
    """
    done = Copied()
    with ThreadPoolExecutor(THREADS) as threads:
        for chunk in named_files(source):
            for named, result in zip(
                chunk, threads.map(lambda file: _copy(file, open_file, target), chunk), strict=True
            ):
                if result is None:
                    done.missing.append(named.name)
                    continue
                done.files += 1
                done.bytes += result.size
                done.existing += not result.copied
                if named.sha256 not in ("", result.sha256):
                    done.damaged.append(named.name)
            report(done)
    return done


@dataclass(frozen=True)
class _Copy:
    """One file's size and checksum, and whether it had to be copied."""

    size: int
    sha256: str
    copied: bool


def _copy(named: NamedFile, open_file: Callable[[str], IO[bytes] | File], target: Storage) -> _Copy | None:
    """Copy one file; return None if it is missing."""
    try:
        content = open_file(named.name)
    except FileNotFoundError:
        return None
    with content:
        digest, size = digest_of(content)
        if target.exists(named.name) and _stored(named.name, target) == digest:
            return _Copy(size, digest, copied=False)
        content.seek(0)
        target.save(named.name, File(content, named.name))
    if _stored(named.name, target) != digest:
        raise Damaged(f"{named.name} was not stored as it is")
    return _Copy(size, digest, copied=True)


def _stored(name: str, storage: Storage) -> str:
    with storage.open(name) as content:
        return digest_of(content)[0]


def digest_of(content: IO[bytes] | File) -> tuple[str, int]:
    """The SHA-256 and the length of a file, from its current position to its end."""
    digest, size = hashlib.sha256(), 0
    while part := content.read(2**20):
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size
