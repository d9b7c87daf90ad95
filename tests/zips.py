"""ZIPs of all kinds, written byte by byte, because no library writes damaged ones."""

import struct
import zlib
from dataclasses import dataclass, field

UTF8, ENCRYPTED = 0x800, 1
STORED, DEFLATED = 0, 8


def _deflated(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


@dataclass
class File:
    """A file of a ZIP. Each field is written into the ZIP as given, even if it is wrong.

    Attributes:
        name: its name, in bytes.
        content: the unpacked content.
        flags: the general purpose bit flag.
        method: the number of the compression method.
        extra: the extra fields.
        crc: a CRC to write instead of the content's.
        size: a size to write instead of the real one.
        system: the system that made the ZIP: 0 DOS and Windows, 3 Unix.
        attributes: the file's attributes in that system.
        local_name: the name in the local header, if it differs.
        version: the version that is needed to unpack it.
        offset: the offset of the data, if it differs.
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
        """The fields that both the local header and the directory have."""
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
        files: the files, with their contents and entries.
        comment: the ZIP's comment.
        count: a number of files for the end record to declare instead of the real one.
        disk: the number of this part of a split ZIP.
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
    """The extra field that holds a name in UTF-8, in addition to the name in another encoding."""
    content = b"\1" + struct.pack("<I", zlib.crc32(name)) + text.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content
