"""ZIP files of images: their entries, and limits against ZIP bombs.

A ZIP is refused as early as possible: by the record at its end or by its directory, before anything is unpacked. It is
never refused because of one entry: entries that cannot be read fail alone.
"""

import io
import posixpath
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.files.base import ContentFile

from webapp.refusals import Refused
from webapp.studies.files import manifests, names, zip_directory
from webapp.studies.files.zip_directory import LOCAL, LOCAL_BYTES, Record

ENCRYPTED = 0x1
STORED, DEFLATED = 0, 8
#: The methods that are read. Some of the others (bzip2, LZMA) need gigabytes of memory for a few hundred bytes.
METHODS = (STORED, DEFLATED)
METHOD_NAMES = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 94: "MP3", 95: "XZ",
    96: "JPEG compression", 97: "WavPack", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip
#: AES encryption is a separate method, in addition to the flag of an encrypted entry.
AES = 99
#: Images hardly shrink in a ZIP. A ZIP that shrank more than this, and is larger than an image, is a ZIP bomb.
MAX_RATIO = 100
CHUNK = 2**16
#: Entries of office documents, which are ZIPs too.
DOCUMENTS = ("[content_types].xml", "mimetype")


@dataclass(frozen=True)
class Entry:
    """A file in a ZIP.

    Attributes:
        index: its place in the ZIP's directory, which never changes.
        filename: its path in the ZIP, cleaned so that it cannot lead outside.
        size: its size in bytes, as the directory declares it. No more than that is ever unpacked.
        refused: why it cannot be read, judging by the directory.
    """

    index: int
    filename: str
    size: int
    refused: Refused | None = None

    @property
    def unpacked_size(self) -> int:
        """Number of bytes that unpacking it produces."""
        return self.size if self.refused is None and self.size <= settings.MAX_IMAGE_BYTES else 0


class Archive:
    """An open ZIP, whose directory has been read."""

    def __init__(self, file: IO[bytes] | Any) -> None:
        self._file = file
        self._records = zip_directory.read(file)
        disc_files = names.disc_files(record.path for record in self._records if not record.is_folder)
        files = [
            Entry(record.index, _filename(record), min(record.size, 2**63 - 1), _refusal(record))
            for record in self._records
            if not record.is_folder and not names.is_litter(record.path) and record.path not in disc_files
        ]
        #: The manifest, if there is one.
        self.manifest = _manifest(files)
        #: The paths of a CD's directory and viewers, which are skipped.
        self.disc_files = sorted(disc_files)
        #: The files that may be images, without folders and files of operating systems.
        self.entries = [entry for entry in files if entry is not self.manifest]

    def check(self, size: int) -> None:
        """Raise the refusal of the ZIP as a whole, if there is one.

        Args:
            size: the size of the ZIP in bytes.
        """
        if not self.entries:
            raise Refused("archive_empty", "The ZIP contains no files, or only files that operating systems add.")
        if all(_is_encrypted(self._records[entry.index]) for entry in self.entries):
            raise Refused("archive_encrypted", "The ZIP is protected by a password. Please send it without one.")
        if self.entries[0].filename.lower() in DOCUMENTS:
            raise Refused("not_an_image", "This is a document. Please export the X-rays in it as pictures.")
        if len(self.entries) > settings.MAX_STUDY_FILES:
            raise zip_directory.too_many_files()
        unpacked = sum(entry.unpacked_size for entry in self.entries)
        if unpacked > max(MAX_RATIO * size, settings.MAX_IMAGE_BYTES):
            raise Refused(
                "archive_too_large", f"The ZIP unpacks to more than {MAX_RATIO} times its size, which images never do."
            )

    def read(self, entry: Entry) -> ContentFile:
        """Unpack one entry, which must not be larger than an image may be.

        Raises:
            Refused: ``archive_encrypted``, ``archive_method_not_supported``, ``image_corrupt`` or ``not_an_image``.
                Other entries may still be readable.
            OSError: the ZIP itself cannot be read.
        """
        if entry.refused:
            raise entry.refused
        record = self._records[entry.index]
        self._file.seek(record.offset)
        header = self._file.read(LOCAL_BYTES)
        if len(header) < LOCAL_BYTES or not header.startswith(LOCAL):
            raise _damaged()
        self._file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), io.SEEK_CUR)
        content = self._file.read(record.size) if record.method == STORED else self._inflated(record)
        if len(content) != record.size or zlib.crc32(content) != record.crc:
            raise _damaged()
        return ContentFile(content, name=entry.filename)

    def _inflated(self, record: Record) -> bytes:
        """Return an entry's content. No more than its declared size is unpacked."""
        inflate, parts, size, remaining = zlib.decompressobj(-zlib.MAX_WBITS), [], 0, record.compressed
        data = b""
        try:
            while not inflate.eof and size < record.size:
                if not data:
                    data = self._file.read(min(CHUNK, remaining))
                    remaining -= len(data)
                part = inflate.decompress(data, CHUNK)
                if not data and not part:
                    break
                parts.append(part)
                size += len(part)
                data = inflate.unconsumed_tail
        except zlib.error:
            raise _damaged() from None
        return b"".join(parts)[: record.size]


@contextmanager
def opened(file: IO[bytes] | Any) -> Iterator[Archive]:
    """Open a ZIP and read its directory, once for all of its entries.

    Raises:
        Refused: ``archive_corrupt``, ``archive_split``, or ``archive_too_large`` if its directory has too many entries
            to be read.
        OSError: the file cannot be read.
    """
    yield Archive(file)


def entries(file: IO[bytes] | Any) -> list[Entry]:
    """Return the files in an uploaded ZIP that may be images.

    Raises:
        Refused: ``archive_corrupt``, ``archive_encrypted``, ``archive_split``, ``archive_too_large``,
            ``archive_empty``, or ``not_an_image`` for an office document.
    """
    with opened(file) as archive:
        archive.check(file.seek(0, io.SEEK_END))
        return archive.entries


def _manifest(entries: list[Entry]) -> Entry | None:
    """Return the manifest at the root of a ZIP, or in the folder that contains all entries."""
    folder = posixpath.commonpath([posixpath.dirname(entry.filename) for entry in entries] or [""])
    path = posixpath.join(folder, manifests.NAME).lower()
    return next((entry for entry in entries if entry.filename.lower() == path), None)


def _filename(record: Record) -> str:
    cleaned = [names.clean(part) for part in names.parts(record.path)]
    return names.filename("/".join(names.UNNAMED if part in ("", ".", "..") else part for part in cleaned))


def _refusal(record: Record) -> Refused | None:
    """Return why an entry cannot be read, judging by the directory; None if it may be readable."""
    if _is_encrypted(record):
        return Refused("archive_encrypted", "This file is protected by a password. Please send it without one.")
    if record.method not in METHODS:
        method = METHOD_NAMES.get(record.method, f"method {record.method}")
        return Refused(
            "archive_method_not_supported",
            f"The compression of this file is not supported: {method}. Please create the ZIP with the usual method, "
            "Deflate, or send the file itself.",
        )
    if record.is_link:
        return Refused("not_an_image", "This is a link to a file, not the file. Please send the file itself.")
    # Deflate makes data only a little longer at most.
    if record.offset < 0 or record.compressed > 2 * record.size + 1024:
        return _damaged()
    return None


def _is_encrypted(record: Record) -> bool:
    return bool(record.flags & ENCRYPTED) or record.method == AES


def _damaged() -> Refused:
    return Refused("image_corrupt", "This file is damaged in the ZIP. Please create the ZIP again.")
