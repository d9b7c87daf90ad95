"""The header of a stored DICOM file: what comes before its pixels, within limits, since this process has no others.

pydicom is imported when it is first needed: it doubles the memory of a web process.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from webapp.refusals import Refused

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.tag import BaseTag

#: Bytes of a file that are parsed: most headers have less than the first, and tables of greys far less than the second.
FIRST_BYTES, HEADER_BYTES = 2**16, 2 * 2**20
PREAMBLE, MAGIC = 128, b"DICM"
DEFLATED, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
#: A header's beginning: Pixel Data (7FE0,0010), as a tag of either order of bytes.
PIXEL_DATA = {"<": struct.pack("<HH", 0x7FE0, 0x0010), ">": struct.pack(">HH", 0x7FE0, 0x0010)}


class Unreadable(Exception):
    """A file is no DICOM file, or is damaged, or its header is longer than what is read of it."""


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels.

    Attributes:
        syntax: its transfer syntax.
        pixels_at: the place of the element Pixel Data in the file; None where there is none, or where it is deflated.
    """

    dataset: "Dataset"
    syntax: str
    pixels_at: int | None

    @property
    def order(self) -> str:
        return ">" if self.syntax == BIG_ENDIAN else "<"

    def text(self, keyword: str) -> str:
        """The value of an element as a text; empty where it is missing or damaged."""
        raw = self.dataset.get_item(_tag(keyword))
        # pydicom takes eight times as long for UIDs and codes, which are the same in every character set.
        if raw is not None and raw.VR in ("UI", "CS") and isinstance(raw.value, bytes) and b"\\" not in raw.value:
            text = raw.value.decode("latin-1").strip("\0 ")
            if text.isprintable():
                return text
        return str(_value(self.dataset, keyword) or "").strip("\0 ")

    def texts(self, keywords: Iterable[str]) -> dict[str, str]:
        """Those of some elements that say something."""
        return {keyword: text for keyword in keywords if (text := self.text(keyword))}

    def number(self, keyword: str, otherwise: int = 0) -> int:
        try:
            return int(_value(self.dataset, keyword))
        except (TypeError, ValueError, OverflowError):
            return otherwise

    def binary(self, tag: int) -> bytes | None:
        """A value of bytes; None where there is none."""
        value = _value(self.dataset, tag)
        return value if isinstance(value, bytes) else None


@cache
def _tag(keyword: str) -> "BaseTag":
    """The tag that data sets are looked up by: to make it takes longer than to look."""
    from pydicom.tag import Tag

    return Tag(keyword)


def _value(dataset: "Dataset", name: str | int) -> Any:
    tag = _tag(name) if isinstance(name, str) else name
    if tag not in dataset:  # which pydicom finds out by an exception
        return None
    try:
        return dataset[tag].value
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element)
        return None


def read(file: IO[bytes] | Any) -> Header:
    """Parse the header of a file.

    Raises:
        Unreadable: it cannot be parsed.
    """
    with suppress(Unreadable):
        found = _read(file, FIRST_BYTES)
        if found.pixels_at is not None:
            return found
    return _read(file, HEADER_BYTES)


def _read(file: IO[bytes] | Any, size: int) -> Header:
    file.seek(0)
    beginning = file.read(size)
    if beginning[PREAMBLE : PREAMBLE + len(MAGIC)] != MAGIC:
        raise Unreadable
    try:
        return _parsed(beginning)
    except (MemoryError, Unreadable):
        raise
    except Exception as error:  # pydicom raises whatever it meets: it is the file's fault
        raise Unreadable from error


def _parsed(beginning: bytes) -> Header:
    from pydicom import config, dcmread
    from pydicom.filereader import read_dataset

    config.settings.reading_validation_mode = config.IGNORE
    source = io.BytesIO(beginning)
    source.seek(PREAMBLE + len(MAGIC))
    meta = read_dataset(source, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = re.sub(r"[^0-9.]", "", str(meta.get("TransferSyntaxUID") or ""))  # it goes into headers of answers
    if syntax == DEFLATED:  # pydicom would inflate all of it, however much that is
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(beginning[source.tell() :], HEADER_BYTES)
        dataset = read_dataset(io.BytesIO(inflated), False, True, stop_when=_is_pixels)
        return Header(dataset, syntax, None)
    if syntax:
        found = read_dataset(source, syntax == IMPLICIT, syntax != BIG_ENDIAN, stop_when=_is_pixels)
    else:  # pydicom finds out
        source.seek(0)
        found = dcmread(source, stop_before_pixels=True)
    at = source.tell()
    header = Header(found, syntax, at)
    if beginning[at : at + 4] == PIXEL_DATA[header.order]:
        return header
    if at >= HEADER_BYTES:
        raise Unreadable  # there may be more
    return Header(found, syntax, None)


def _is_pixels(tag: Any, *_: Any) -> bool:
    return bool(tag >= 0x7FE00008)


def of_image(file: IO[bytes] | Any) -> Header:
    """As :func:`read`, of a file that a client asks for.

    Raises:
        Refused: ``image_corrupt``.
    """
    try:
        return read(file)
    except Unreadable:
        raise Refused("image_corrupt", "The header of this instance cannot be read.") from None
