"""Read the header of a stored DICOM file, which is everything before its pixels, up to a limited size, since the memory
of a web process is not limited otherwise.

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

#: Bytes of a file that are parsed. Most headers fit into the first, and even lookup tables fit easily into the second.
FIRST_BYTES, HEADER_BYTES = 2**16, 2 * 2**20
PREAMBLE, MAGIC = 128, b"DICM"
DEFLATED, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
#: The tag of Pixel Data (7FE0,0010) in both byte orders. A header ends there.
PIXEL_DATA = {"<": struct.pack("<HH", 0x7FE0, 0x0010), ">": struct.pack(">HH", 0x7FE0, 0x0010)}


class Unreadable(Exception):
    """A file is not a DICOM file, is damaged, or has too long a header."""


@dataclass(frozen=True)
class Header:
    """The part of a file before its pixels.

    Attributes:
        syntax: the transfer syntax.
        pixels_at: the position of the Pixel Data element in the file; None if there is none, or the file is deflated.
    """

    dataset: "Dataset"
    syntax: str
    pixels_at: int | None

    @property
    def order(self) -> str:
        return ">" if self.syntax == BIG_ENDIAN else "<"

    def text(self, keyword: str) -> str:
        """The value of an element as text; empty if it is missing or damaged."""
        # Without the argument, pydicom converts an element without a value, and raises any exception for a damaged one.
        raw = self.dataset.get_item(_tag(keyword), keep_deferred=True)
        # Decode UIDs and codes here, since they are the same in every character set: pydicom takes eight times as long.
        if raw is not None and raw.VR in ("UI", "CS") and isinstance(raw.value, bytes) and b"\\" not in raw.value:
            text = raw.value.decode("latin-1").strip("\0 ")
            if text.isprintable():
                return text
        return str(_value(self.dataset, keyword) or "").strip("\0 ")

    def texts(self, keywords: Iterable[str]) -> dict[str, str]:
        """The values of those elements that are not empty."""
        return {keyword: text for keyword in keywords if (text := self.text(keyword))}

    def number(self, keyword: str, default: int = 0) -> int:
        try:
            return int(_value(self.dataset, keyword))
        except (TypeError, ValueError, OverflowError):
            return default

    def binary(self, tag: int) -> bytes | None:
        """The value of an element as bytes; None if it has none."""
        value = _value(self.dataset, tag)
        return value if isinstance(value, bytes) else None


@cache
def _tag(keyword: str) -> "BaseTag":
    """The tag of a keyword. It is cached, since making it takes longer than looking it up in a data set."""
    from pydicom.tag import Tag

    return Tag(keyword)


def _value(dataset: "Dataset", name: str | int) -> Any:
    tag = _tag(name) if isinstance(name, str) else name
    if tag not in dataset:  # faster than pydicom's exception
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
        header = _read(file, FIRST_BYTES)
        if header.pixels_at is not None:
            return header
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
    except Exception as error:  # pydicom may raise anything for a damaged file
        raise Unreadable from error


def _parsed(beginning: bytes) -> Header:
    from pydicom import config, dcmread
    from pydicom.filereader import read_dataset

    config.settings.reading_validation_mode = config.IGNORE
    source = io.BytesIO(beginning)
    source.seek(PREAMBLE + len(MAGIC))
    meta = read_dataset(source, False, True, stop_when=lambda tag, *_: tag.group != 2)
    syntax = re.sub(r"[^0-9.]", "", str(meta.get("TransferSyntaxUID") or ""))  # it is used in headers of responses
    if syntax == DEFLATED:  # pydicom would inflate all of it, without a limit
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(beginning[source.tell() :], HEADER_BYTES)
        dataset = read_dataset(io.BytesIO(inflated), False, True, stop_when=_is_pixels)
        return Header(dataset, syntax, None)
    if syntax:
        dataset = read_dataset(source, syntax == IMPLICIT, syntax != BIG_ENDIAN, stop_when=_is_pixels)
    else:  # pydicom guesses the syntax
        source.seek(0)
        dataset = dcmread(source, stop_before_pixels=True)
    at = source.tell()
    header = Header(dataset, syntax, at)
    if beginning[at : at + 4] == PIXEL_DATA[header.order]:
        return header
    if at >= HEADER_BYTES:
        raise Unreadable  # the header may continue
    return Header(dataset, syntax, None)


def _is_pixels(tag: Any, *_: Any) -> bool:
    return bool(tag >= 0x7FE00008)


def of_image(file: IO[bytes] | Any) -> Header:
    """Like :func:`read`, for a file that a client requests.

    Raises:
        Refused: ``image_corrupt``.
    """
    try:
        return read(file)
    except Unreadable:
        raise Refused("image_corrupt", "The header of this instance cannot be read.") from None
