"""Decode the names in a ZIP, which mostly do not declare their encoding.

A ZIP may mark a name as UTF-8, or carry it once more as UTF-8 in an extra field. Marks are sometimes wrong, so that
what is UTF-8 counts as such, marked or not.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from webapp import encodings

UNICODE_PATH = 0x7075


def decode(names: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The names of a ZIP's files as text.

    Args:
        names: for each file its name and its extra fields.
    """
    return encodings.decode([_best(name, extra) for name, extra in names], encodings.WINDOWS | encodings.DOS)


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a file's extra data, as far as these are whole."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            return
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _best(name: bytes, extra: bytes) -> bytes:
    """The name in the extra field for it, in UTF-8, or else the name: where the file was renamed since, for example."""
    for kind, field in extra_fields(extra):
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<I", zlib.crc32(name)):
            return field[5:] if encodings.is_utf8(field[5:]) else name
    return name
