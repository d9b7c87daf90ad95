"""Read the directory at the end of a ZIP, entry by entry.

Python's zipfile refuses a whole ZIP if it cannot read one entry of its directory, for example because of a name in
another encoding than declared, a damaged extra field, or an unknown version. Here only such an entry fails.
"""

import io
import struct
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings

from webapp.refusals import Refused
from webapp.studies.files.zip_names import decode, extra_fields

#: The directory also lists folders and files that operating systems add (macOS adds one for each file).
DIRECTORY_ENTRIES_PER_FILE = 3
DIRECTORY_BYTES_PER_ENTRY = 512
#: Signatures of a ZIP's records, and the lengths of the records at its end.
LOCAL, ENTRY, END, END64, LOCATOR64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END64_BYTES, LOCATOR64_BYTES, COMMENT_BYTES = 22, 56, 20, 2**16 - 1
#: The format of an entry's fields, with its signature skipped; the length of an entry; and the length of the local
#: header, which repeats the entry before its data.
ENTRY_FIELDS, ENTRY_BYTES = "<4xHHHHHHIIIHHHHHII", 46
LOCAL_BYTES = 30
#: Placeholders for a number that is in the extra field ZIP64, and the id of that field.
ELSEWHERE32, ELSEWHERE16, ZIP64 = 2**32 - 1, 2**16 - 1, 1
#: The kinds of Unix files in the upper 16 bits of the attributes, and the mask for the kind.
LINK, FOLDER, KINDS = 0o120000, 0o040000, 0o170000
UNIX = 3
DOS_FOLDER = 0x10


@dataclass(frozen=True)
class Record:
    """An entry of the directory.

    Attributes:
        index: its place in the directory, which never changes.
        path: the decoded path.
        flags: bits; the first means that it is encrypted.
        method: the number of the compression method.
        crc: the CRC of its content.
        compressed: the size of its compressed content in bytes.
        size: the size of its content in bytes.
        offset: the offset of its local header; -1 if the directory contradicts itself.
        is_folder: whether it is a folder.
        is_link: whether it is a symbolic link, whose content is another file's path.
    """

    index: int
    path: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    is_folder: bool
    is_link: bool


def read(file: IO[bytes] | Any) -> list[Record]:
    """Read the directory of a ZIP.

    Raises:
        Refused: ``archive_corrupt``, ``archive_split``, or ``archive_too_large`` if it has too many entries.
        OSError: the file cannot be read.
    """
    start, length, count, shift = _find(file)
    limit = DIRECTORY_ENTRIES_PER_FILE * settings.MAX_STUDY_FILES
    if count > limit or length > limit * DIRECTORY_BYTES_PER_ENTRY:
        raise too_many_files()
    if start < 0:
        raise corrupt()
    file.seek(start)
    directory = file.read(length)
    # The number in the end record may be wrong. Parsing an entry takes 500 bytes and 10 µs.
    if directory.count(ENTRY) > limit:
        raise too_many_files()
    records = _records(directory, start, shift)
    if len(records) < count:
        raise corrupt()
    return records


def _find(file: IO[bytes] | Any) -> tuple[int, int, int, int]:
    """Return the directory's offset, its length, its number of entries, and the amount to add to its offsets."""
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - END_BYTES - COMMENT_BYTES - LOCATOR64_BYTES - END64_BYTES)
    file.seek(start)
    tail = file.read(size - start)
    at = _end(tail)
    if at < 0 or len(tail) - at < END_BYTES:
        raise corrupt()
    disk, _, _, count, length, offset = struct.unpack_from("<HHHHII", tail, at + 4)
    locator = at - LOCATOR64_BYTES
    record = _end64(tail, locator)
    if record >= 0:
        count, length, offset = struct.unpack_from("<QQQ", tail, record + 32)
        at = record
    elif disk not in (0, ELSEWHERE16):
        raise Refused(
            "archive_split",
            "This is one part of a split ZIP. Please send all of it as one ZIP, or as several complete ones.",
        )
    directory = start + at - length
    if _is_behind_another(file, directory - offset):
        raise Refused(
            "archive_corrupt", "This file contains several ZIPs one after another. Please send each as a separate file."
        )
    # A self-extracting ZIP starts with a program, which its offsets do not count.
    return directory, length, count, directory - offset


def _is_behind_another(file: IO[bytes] | Any, shift: int) -> bool:
    """Whether another ZIP precedes this one in the file. Nobody would see its files."""
    if shift <= 0:
        return False
    file.seek(0)
    begins = file.read(len(LOCAL)) == LOCAL
    file.seek(max(0, shift - END_BYTES - COMMENT_BYTES))
    return begins and END in file.read(shift - file.tell())


def _end64(tail: bytes, locator: int) -> int:
    """Return the offset of ZIP64's end record, which may be longer than usual; -1 if there is none."""
    usual = locator - END64_BYTES
    if usual < 0 or not tail.startswith(LOCATOR64, locator):
        return -1
    at = tail.rfind(END64, 0, usual + len(END64))
    length = 12 + int.from_bytes(tail[at + 4 : at + 12], "little")
    return at if at == usual or (at >= 0 and at + length == locator) else -1


def _end(tail: bytes) -> int:
    """Return the offset of the end record: the last one whose comment has the declared length.

    The comment may contain the record's signature.
    """
    last = at = tail.rfind(END)
    while at >= 0:
        if at + END_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return at
        at = tail.rfind(END, 0, at + len(END) - 1)
    return last


def _records(directory: bytes, start: int, shift: int) -> list[Record]:
    entries, names, at = [], [], 0
    while at < len(directory):
        if not directory.startswith(ENTRY, at) or at + ENTRY_BYTES > len(directory):
            raise corrupt()
        fields = struct.unpack_from(ENTRY_FIELDS, directory, at)
        name_length, extra_length, comment_length = fields[9:12]
        extra_at = at + ENTRY_BYTES + name_length
        name = directory[at + ENTRY_BYTES : extra_at]
        extra = directory[extra_at : extra_at + extra_length]
        at = extra_at + extra_length + comment_length
        if at > len(directory):
            raise corrupt()
        entries.append((fields, extra))
        names.append((name, extra))
    paths = decode(names)
    return [
        _record(index, path, fields, _numbers(fields, extra, start, shift))
        for index, (path, (fields, extra)) in enumerate(zip(paths, entries, strict=True))
    ]


def _record(index: int, path: str, fields: tuple[int, ...], numbers: tuple[int, int, int]) -> Record:
    made_by, _, flags, method, _, _, crc, _, _, _, _, _, _, _, attributes, _ = fields
    size, compressed, offset = numbers
    kind = attributes >> 16 & KINDS if made_by >> 8 == UNIX else 0
    ends_as_folder = path.replace("\\", "/").endswith("/")
    return Record(
        index=index,
        path=path,
        flags=flags,
        method=method,
        crc=crc,
        compressed=compressed,
        size=size,
        offset=offset,
        is_folder=not size and (ends_as_folder or kind == FOLDER or bool(attributes & DOS_FOLDER)),
        is_link=kind == LINK,
    )


def _numbers(fields: tuple[int, ...], extra: bytes, start: int, shift: int) -> tuple[int, int, int]:
    """Return an entry's size, compressed size and offset. The offset is -1 if it cannot be right."""
    compressed, size, offset = fields[7], fields[8], fields[15]
    numbers = _zip64([size, compressed, offset], extra)
    if numbers is None:
        return size, compressed, -1
    size, compressed, offset = numbers
    return size, compressed, offset + shift if 0 <= offset + shift < start else -1


def _zip64(numbers: list[int], extra: bytes) -> list[int] | None:
    """Replace the numbers that do not fit into 32 bits by those in ZIP64's extra field.

    Returns:
        The numbers, or None if one is missing in the field.
    """
    field = next((field for kind, field in extra_fields(extra) if kind == ZIP64), b"")
    at = 0
    for place, number in enumerate(numbers):
        if number != ELSEWHERE32:
            continue
        if at + 8 > len(field):
            return None
        (numbers[place],) = struct.unpack_from("<Q", field, at)
        at += 8
    return numbers


def too_many_files() -> Refused:
    return Refused("archive_too_large", f"The ZIP contains more than {settings.MAX_STUDY_FILES} files.")


def corrupt() -> Refused:
    return Refused("archive_corrupt", "The ZIP is damaged or incomplete. Please create it again.")
