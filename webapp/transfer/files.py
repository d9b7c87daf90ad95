"""Files that rows name, each compared after it was copied."""

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
    """A file was not copied as it is."""


@dataclass(frozen=True)
class NamedFile:
    """A file that a row names, and what it must be where that is known."""

    name: str
    sha256: str = ""


@dataclass
class Copied:
    """The outcome of copying files."""

    files: int = 0
    bytes: int = 0
    there: int = 0
    missing: list[str] = field(default_factory=list)
    #: Files whose content is not what their row says. They are copied as they are: reading one raises the same error.
    damaged: list[str] = field(default_factory=list)


def row_files(row: models.Model) -> list[NamedFile]:
    """The files that belong to a row. A ZIP that was unpacked has been deleted on purpose."""
    if isinstance(row, Archive):
        return [NamedFile(str(row.file.name))] if row.file and row.state in Archive.PENDING else []
    if isinstance(row, Reading):
        return [NamedFile(str(row.input.name), row.input_sha256)] if row.input else []
    if not isinstance(row, Image):
        return []
    found = {str(row.file.name): NamedFile(str(row.file.name), row.sha256)} if row.file else {}
    if row.preview:
        found.setdefault(str(row.preview.name), NamedFile(str(row.preview.name)))
    return list(found.values())


def named_files(source: Source) -> Iterator[list[NamedFile]]:
    """All files, ZIPs first, some at a time."""
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
    """Copy all files into a storage, several at once.

    Args:
        source: the rows that name them.
        open_file: gives the content of one, or raises FileNotFoundError.
        target: where to; what is there already and the same is left.
        report: is called now and then with the progress.

    Raises:
        Damaged: a file was not stored as it is.
    """
    done = Copied()
    with ThreadPoolExecutor(THREADS) as threads:
        for chunk in named_files(source):
            for wanted, result in zip(
                chunk, threads.map(lambda one: _copy(one, open_file, target), chunk), strict=True
            ):
                if result is None:
                    done.missing.append(wanted.name)
                    continue
                done.files += 1
                done.bytes += result.size
                done.there += not result.fresh
                if wanted.sha256 not in ("", result.sha256):
                    done.damaged.append(wanted.name)
            report(done)
    return done


@dataclass(frozen=True)
class _Copy:
    """One file's size and checksum, and whether it had to be copied."""

    size: int
    sha256: str
    fresh: bool


def _copy(wanted: NamedFile, open_file: Callable[[str], IO[bytes] | File], target: Storage) -> _Copy | None:
    """Copy one file; None where it is missing."""
    try:
        content = open_file(wanted.name)
    except FileNotFoundError:
        return None
    with content:
        digest, size = digest_of(content)
        if target.exists(wanted.name) and _stored(wanted.name, target) == digest:
            return _Copy(size, digest, fresh=False)
        content.seek(0)
        target.save(wanted.name, File(content, wanted.name))
    if _stored(wanted.name, target) != digest:
        raise Damaged(f"{wanted.name} was not stored as it is")
    return _Copy(size, digest, fresh=True)


def _stored(name: str, storage: Storage) -> str:
    with storage.open(name) as content:
        return digest_of(content)[0]


def digest_of(content: IO[bytes] | File) -> tuple[str, int]:
    """The SHA-256 of what is left of a file, and its length."""
    digest, size = hashlib.sha256(), 0
    while part := content.read(2**20):
        digest.update(part)
        size += len(part)
    return digest.hexdigest(), size
