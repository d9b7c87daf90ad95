"""Decode the names in a ZIP. Most ZIPs do not declare the encoding.

A ZIP may mark a name as UTF-8, or repeat it as UTF-8 in an extra field. Marks are sometimes wrong, so a name that is
valid UTF-8 is decoded as UTF-8, marked or not.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

from webapp import encodings

UNICODE_PATH = 0x7075


def decode(names: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Decode the names of a ZIP's files.

    Args:
        names: the name and the extra fields of each file.
    """
    return encodings.decode([_best(name, extra) for name, extra in names], encodings.WINDOWS | encodings.DOS)


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a file's extra data, up to the first incomplete one."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            return
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _best(name: bytes, extra: bytes) -> bytes:
    """Return the name in UTF-8 from its extra field, or the name itself, for example if the file was renamed since."""
    for kind, field in extra_fields(extra):
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<I", zlib.crc32(name)):
            return field[5:] if encodings.is_utf8(field[5:]) else name
    return name
