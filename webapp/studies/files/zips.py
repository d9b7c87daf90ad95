"""ZIP files with images in them: what is inside, without unpacking it, and limits that a ZIP bomb breaks."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.files import File

from webapp.refusals import Refused

MAX_UNPACKED_BYTES = 16 * 2**30
ENCRYPTED = 0x1


@dataclass(frozen=True)
class Entry:
    """A file in a ZIP. ``index`` is its place in the ZIP's directory and never changes."""

    index: int
    filename: str
    size: int


def entries(file: IO[bytes] | Any) -> list[Entry]:
    """The files in a ZIP that may be images, without folders and the litter of operating systems.

    Raises:
        Refused: ``archive_corrupt``, ``archive_encrypted``, ``archive_too_large`` or ``archive_empty``.
    """
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError):
        raise Refused("archive_corrupt", "The ZIP is damaged or incomplete. Please make it again.") from None
    kept = [
        Entry(index, _clean(info.filename), info.file_size) for index, info in enumerate(infos) if not _is_litter(info)
    ]
    if not kept:
        raise Refused("archive_empty", "The ZIP holds no files.")
    if any(infos[entry.index].flag_bits & ENCRYPTED for entry in kept):
        raise Refused("archive_encrypted", "The ZIP is protected by a password. Please send it without one.")
    if len(kept) > settings.MAX_STUDY_FILES:
        raise Refused("archive_too_large", f"The ZIP holds more than {settings.MAX_STUDY_FILES} files.")
    if sum(entry.size for entry in kept) > MAX_UNPACKED_BYTES:
        raise Refused("archive_too_large", "The ZIP unpacks to more than 16 GB. Please send it in parts.")
    return kept


@contextmanager
def read(file: IO[bytes] | Any, entry: Entry) -> Iterator[File]:
    """One entry's content. Of one beyond the limit only so much is unpacked that the limit shows.

    A damaged entry gives an empty file, which then fails alone.
    """
    limit = settings.MAX_IMAGE_BYTES + 1
    with SpooledTemporaryFile(max_size=8 * 2**20) as content:
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive, archive.open(archive.infolist()[entry.index]) as source:
                while limit and (part := source.read(min(2**20, limit))):
                    content.write(part)
                    limit -= len(part)
        except (
            zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error,
            lzma.LZMAError,
        ):  # fmt: skip
            content.seek(0)
            content.truncate()
        size = content.tell()
        content.seek(0)
        wrapped = File(content, name=entry.filename)
        wrapped.size = size
        yield wrapped


def _clean(name: str) -> str:
    return str(PurePosixPath(*[part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]))


def _is_litter(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    # A damaged or hostile ZIP may have entries whose name is empty or only dots, which no file can have.
    return (
        not parts
        or info.is_dir()
        or "__MACOSX" in parts
        or parts[-1].startswith(".")
        or parts[-1] in ("Thumbs.db", "desktop.ini")
    )
