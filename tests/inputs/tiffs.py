"""TIFFs with one peculiarity each, for the table of cases."""

import io
import struct

import imagecodecs
import tifffile

from tests.inputs.containers import Pixels, deep, tiff


def tiff_bomb(side: int = 30_000) -> bytes:
    """A header that declares a picture of ``side`` by ``side`` pixels in one strip."""
    stream = io.BytesIO()
    tags = [
        (256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, side),
        (279, 4, side * side % 2**32),
    ]  # fmt: skip
    stream.write(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)))
    for tag, kind, value in tags:
        stream.write(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value))
    return stream.getvalue() + bytes(4 + 100)


def list_of_widths(p: Pixels, number: int = 108) -> bytes:
    """A TIFF whose width is a list, and whose height is large."""
    content = bytearray(tiff(p))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        width, height = (file.pages[0].tags[name].offset for name in ("ImageWidth", "ImageLength"))
    struct.pack_into("<2I", content, width + 4, number, 8)
    struct.pack_into("<I", content, height + 8, 13_500_482)
    return bytes(content)


def packed_tiff(p: Pixels) -> bytes:
    """A TIFF with 12-bit samples, two packed in three bytes."""
    height, width = p.shape
    data = imagecodecs.packints_encode(deep(p), 12, runlen=width)
    tags = [(256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 134), (277, 3, 1),
            (278, 4, height), (279, 4, len(data))]  # fmt: skip
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags))
    for tag, kind, value in tags:
        head += struct.pack(">HHI", tag, kind, 1) + (
            struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        )
    return (head + bytes(4)).ljust(134, b"\0") + data


def tagged(content: bytes, name: str, value: int | None = None, code: int | None = None) -> bytes:
    """A TIFF with another value of a tag, or another tag in its place."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tag = file.pages[0].tags[name]
    form = "<H" if code is not None or tag.dtype == tifffile.DATATYPE.SHORT else "<I"
    at, number = (tag.offset, code) if code is not None else (tag.valueoffset, value)
    return content[:at] + struct.pack(form, number) + content[at + struct.calcsize(form) :]


def with_compression(pixels: Pixels, number: int) -> bytes:
    """A TIFF that declares a compression that it does not have."""
    return tagged(tiff(pixels), "Compression", number)


def shorter_strip(content: bytes) -> bytes:
    """A TIFF whose only strip ends in the middle."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        (count,) = file.pages[0].databytecounts
    return tagged(content, "StripByteCounts", count // 2)


def endless_pages(p: Pixels) -> bytes:
    """A TIFF whose list of pages continues with its first page."""
    content = tiff(p)
    (at,) = struct.unpack_from("<I", content, 4)
    end = at + 2 + 12 * int.from_bytes(content[at : at + 2], "little")
    return content[:end] + struct.pack("<I", at) + content[end + 4 :]
