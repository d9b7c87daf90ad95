"""ZIP files with images in them: what is inside, and limits that a ZIP bomb breaks.

A ZIP is refused as early as possible: from the record at its end, then from its directory, and only then is anything
unpacked.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from django.conf import settings
from django.core.files.base import ContentFile

from webapp.refusals import Refused

ENCRYPTED = 0x1
#: The methods whose unpacking can be limited. With the others (bzip2, LZMA) a few hundred bytes may take gigabytes of
#: memory before the first of them is read.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Images hardly shrink in a ZIP. One that shrank more, and is larger than an image, is a bomb.
MAX_RATIO = 100
#: Folders and what operating systems add (macOS: a file for each file) are in the directory as well.
DIRECTORY_ENTRIES_PER_FILE = 3
DIRECTORY_BYTES_PER_ENTRY = 512
#: Signatures of the records that a ZIP consists of, and the lengths of those at its end.
ENTRY, END, END64, LOCATOR64 = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END64_BYTES, LOCATOR64_BYTES, COMMENT_BYTES = 22, 56, 20, 2**16 - 1


@dataclass(frozen=True)
class Entry:
    """A file in a ZIP.

    Attributes:
        index: its place in the ZIP's directory, which never changes.
        filename: its path in the ZIP, which leads nowhere else.
        size: in bytes, as the directory declares it. No more than that is ever unpacked.
    """

    index: int
    filename: str
    size: int


class Archive:
    """An open ZIP, whose directory has been read."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = archive.infolist()
        #: The files that may be images, without folders and what operating systems add.
        self.entries = [
            Entry(index, _clean(info.filename), info.file_size)
            for index, info in enumerate(self._infos)
            if not _is_litter(info)
        ]

    def check(self, size: int) -> None:
        """Raise the refusal of the ZIP as a whole, if there is one.

        Args:
            size: of the ZIP, in bytes.
        """
        if not self.entries:
            raise Refused("archive_empty", "The ZIP holds no files.")
        if any(self._infos[entry.index].flag_bits & ENCRYPTED for entry in self.entries):
            raise Refused("archive_encrypted", "The ZIP is protected by a password. Please send it without one.")
        if len(self.entries) > settings.MAX_STUDY_FILES:
            raise _too_many_files()
        unpacked = sum(entry.size for entry in self.entries)
        if unpacked > max(MAX_RATIO * size, settings.MAX_IMAGE_BYTES):
            raise Refused(
                "archive_too_large", f"The ZIP unpacks to more than {MAX_RATIO} times its size, which no images do."
            )

    def read(self, entry: Entry) -> ContentFile:
        """Unpack one entry. It must not be larger than an image may be.

        Raises:
            Refused: ``archive_method_not_supported`` or ``image_corrupt``; the other entries may be well.
            OSError: where the ZIP itself cannot be read.
        """
        info = self._infos[entry.index]
        damaged = Refused("image_corrupt", "This file is damaged in the ZIP. Please make the ZIP again.")
        if info.header_offset < 0:
            raise damaged
        if info.compress_type not in METHODS:
            raise Refused(
                "archive_method_not_supported",
                "This file is compressed in a way that is not read here. Please make the ZIP with the usual method, "
                "Deflate.",
            )
        try:
            with self._archive.open(info) as source:
                return ContentFile(source.read(), name=entry.filename)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error):
            raise damaged from None


@contextmanager
def opened(file: IO[bytes] | Any) -> Iterator[Archive]:
    """Open a ZIP and read its directory, once for all of its entries.

    Raises:
        Refused: ``archive_corrupt``, or ``archive_too_large`` where its directory has too many entries to be read.
        OSError: where the file cannot be read.
    """
    _check_directory(file)
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error.__context__, OSError):
            # It is the storage that failed, which zipfile takes for a damaged ZIP.
            raise error.__context__ from None
        raise _corrupt() from None
    with archive:
        yield Archive(archive)


def entries(file: IO[bytes] | Any) -> list[Entry]:
    """The files in an uploaded ZIP that may be images.

    Raises:
        Refused: ``archive_corrupt``, ``archive_encrypted``, ``archive_too_large`` or ``archive_empty``.
    """
    with opened(file) as archive:
        archive.check(file.seek(0, io.SEEK_END))
        return archive.entries


def _check_directory(file: IO[bytes] | Any) -> None:
    """Refuse a directory with too many entries before it is parsed, which takes 500 bytes and 30 µs for each of them.

    The number that the end record declares may be wrong, so the entries' signatures are counted as well.
    """
    most = DIRECTORY_ENTRIES_PER_FILE * settings.MAX_STUDY_FILES
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - END_BYTES - COMMENT_BYTES - LOCATOR64_BYTES - END64_BYTES)
    file.seek(start)
    tail = file.read(size - start)
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise _corrupt()
    count, length = struct.unpack_from("<HI", tail, at + 10)
    locator, record = at - LOCATOR64_BYTES, at - LOCATOR64_BYTES - END64_BYTES
    if record >= 0 and tail.startswith(LOCATOR64, locator) and tail.startswith(END64, record):
        count, length = struct.unpack_from("<QQ", tail, record + 32)
        at = record
    if count > most or length > most * DIRECTORY_BYTES_PER_ENTRY:
        raise _too_many_files()
    directory = start + at - length
    if directory < 0:
        raise _corrupt()
    file.seek(directory)
    if file.read(length).count(ENTRY) > most:
        raise _too_many_files()


def _too_many_files() -> Refused:
    return Refused("archive_too_large", f"The ZIP holds more than {settings.MAX_STUDY_FILES} files.")


def _corrupt() -> Refused:
    return Refused("archive_corrupt", "The ZIP is damaged or incomplete. Please make it again.")


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
