"""ZIPs of all kinds, byte by byte, as no library writes them."""

import struct
import zlib
from dataclasses import dataclass, field

UTF8, ENCRYPTED = 0x800, 1
STORED, DEFLATED = 0, 8


def _deflated(content: bytes) -> bytes:
    squeezed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezed.compress(content) + squeezed.flush()


@dataclass
class File:
    """A file of a ZIP; each field that is given stands in the ZIP as it is, however wrong.

    Attributes:
        name: its bytes.
        content: what it unpacks to.
        flags: bits.
        method: the number of its compression.
        extra: extra fields.
        crc: of the content, where the right one shall not stand there.
        size: in place of the real one, if given.
        system: that made the ZIP: 0 DOS and Windows, 3 Unix.
        attributes: of the file in that system.
        local_name: the name before the data, where it differs.
        version: that unpacking needs.
        offset: of the data, where it differs.
    """

    name: bytes
    content: bytes = b""
    flags: int = 0
    method: int = DEFLATED
    extra: bytes = b""
    crc: int | None = None
    size: int | None = None
    system: int = 0
    attributes: int = 0
    local_name: bytes | None = None
    version: int = 20
    offset: int | None = None
    data: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.data = _deflated(self.content) if self.method == DEFLATED else self.content

    def common(self, name: bytes) -> bytes:
        """The fields that stand both before the data and in the directory."""
        crc = zlib.crc32(self.content) if self.crc is None else self.crc
        size = len(self.content) if self.size is None else self.size
        numbers = (
            self.version,
            self.flags,
            self.method,
            0,
            0x21,
            crc,
            len(self.data),
            size,
            len(name),
            len(self.extra),
        )
        return struct.pack("<HHHHHIIIHH", *numbers)


def build(*files: File, comment: bytes = b"", count: int | None = None, disk: int = 0) -> bytes:
    """A ZIP of these files, in this order.

    Args:
        files: their contents and entries.
        comment: of the ZIP.
        count: of files, where the end record shall declare another number.
        disk: the part of a split ZIP that this is.
    """
    body, directory = b"", b""
    for file in files:
        name = file.name if file.local_name is None else file.local_name
        offset = len(body) if file.offset is None else file.offset
        body += b"PK\x03\x04" + file.common(name) + name + file.extra + file.data
        directory += b"PK\x01\x02" + struct.pack("<H", file.system << 8 | 20) + file.common(file.name)
        directory += struct.pack("<HHHII", 0, 0, 0, file.attributes, offset) + file.name + file.extra
    number = len(files) if count is None else count
    end = struct.pack("<HHHHIIH", disk, disk, number, number, len(directory), len(body), len(comment))
    return body + directory + b"PK\x05\x06" + end + comment


def unicode_path(name: bytes, text: str) -> bytes:
    """The extra field with a name as UTF-8, beside the name in another encoding."""
    content = b"\1" + struct.pack("<I", zlib.crc32(name)) + text.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content
