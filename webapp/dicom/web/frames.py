"""The frames of a stored file as they lie in it, and other values that are too long for its metadata."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.core.files import File

from webapp.dicom.web.headers import BIG_ENDIAN, DEFLATED, IMPLICIT, Header
from webapp.refusals import Refused
from webapp.studies.files.responses import BLOCK

OCTETS = "application/octet-stream"
#: How PS3.18 8.7.3.3 names frames of each compression, by the end of the transfer syntax's UID.
MEDIA_TYPES = {
    "50": "image/jpeg", "51": "image/jpeg", "57": "image/jpeg", "70": "image/jpeg", "80": "image/jls",
    "81": "image/jls", "90": "image/jp2", "91": "image/jp2", "201": "image/jphc", "202": "image/jphc",
    "203": "image/jphc",
}  # fmt: skip
COMPRESSED, RUN_LENGTHS = "1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5"
#: Bytes of an element before its value: with a length of 32 bits and its representation, and without the latter.
EXPLICIT_HEAD, IMPLICIT_HEAD = 12, 8
#: Frames of one answer: each is looked for from the beginning.
MOST_FRAMES = 100


def is_compressed(syntax: str) -> bool:
    return syntax.startswith(COMPRESSED) or syntax == RUN_LENGTHS


def media_type(syntax: str) -> str:
    """What frames of a transfer syntax are."""
    if syntax == RUN_LENGTHS:
        return "image/dicom-rle"
    return MEDIA_TYPES.get(syntax.removeprefix(COMPRESSED), OCTETS) if syntax.startswith(COMPRESSED) else OCTETS


def numbers(text: str, header: Header) -> list[int]:
    """The frames of a list such as ``1,2``.

    Raises:
        Refused: ``invalid_parameter`` where there are no such frames, or too many at once.
    """
    most = max(1, header.number("NumberOfFrames", 1))
    found = [int(part) for part in text.split(",") if part]
    if not 0 < len(found) <= MOST_FRAMES or not all(0 < number <= most for number in found):
        raise Refused(
            "invalid_parameter",
            f"The frames of this instance are numbered 1 to {most}; at most {MOST_FRAMES} can be had at once.",
        )
    return found


def read(file: File, header: Header, wanted: Sequence[int]) -> Iterator[Iterator[bytes]]:
    """The bytes of frames, each in parts.

    Raises:
        Refused: ``representation_not_available`` or ``image_corrupt``; a later frame that is damaged ends it as well.
    """
    if header.pixels_at is None:
        raise missing(header)
    begin = header.pixels_at + (IMPLICIT_HEAD if header.syntax == IMPLICIT else EXPLICIT_HEAD)
    if is_compressed(header.syntax):
        first = _compressed(file, header, begin, wanted[0])  # so that an error can still be answered
        others = (iter([_compressed(file, header, begin, number)]) for number in wanted[1:])
        return chain([iter([first])], others)
    if header.syntax == BIG_ENDIAN:
        raise Refused(
            "representation_not_available",
            "This instance is stored with big-endian numbers, which frames cannot have. Please retrieve the instance.",
        )
    size = _frame_size(header)
    if begin + max(wanted) * size > file.size:
        raise damaged()
    return (slice_of(file, begin + (number - 1) * size, size) for number in wanted)


def _frame_size(header: Header) -> int:
    bits = header.number("Rows") * header.number("Columns") * header.number("SamplesPerPixel", 1)
    bits *= header.number("BitsAllocated", 16)
    if bits <= 0 or bits % 8:
        raise damaged()
    return bits // 8


def _compressed(file: Any, header: Header, begin: int, number: int) -> bytes:
    from pydicom.encaps import get_frame

    file.seek(begin)
    try:
        return get_frame(file, number - 1, number_of_frames=max(1, header.number("NumberOfFrames", 1)))
    except (MemoryError, OSError):
        raise
    except Exception as error:  # pydicom raises whatever it meets: it is the file's fault
        raise damaged() from error


def slice_of(file: File, begin: int, size: int) -> Iterator[bytes]:
    """A part of a file, a block at a time."""
    while size > 0:
        file.seek(begin)
        block = file.read(min(BLOCK, size))
        if not block:
            raise damaged()
        yield block
        begin, size = begin + len(block), size - len(block)


def missing(header: Header) -> Refused:
    if header.syntax == DEFLATED:
        return Refused(
            "representation_not_available",
            "This instance is stored deflated, so its frames cannot be had alone. Please retrieve the instance.",
        )
    return Refused("representation_not_available", "This instance has no pixels.")


def damaged() -> Refused:
    return Refused("image_corrupt", "The pixels of this instance are damaged.")
