"""Read frames from a stored file, without decoding them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.core.files import File

from webapp.dicom.web.headers import BIG_ENDIAN, DEFLATED, IMPLICIT, Header
from webapp.refusals import Refused
from webapp.studies.files.responses import BLOCK

OCTETS = "application/octet-stream"
#: The media types of compressed frames (PS3.18 8.7.3.3), by the end of the transfer syntax's UID.
MEDIA_TYPES = {
    "50": "image/jpeg", "51": "image/jpeg", "57": "image/jpeg", "70": "image/jpeg", "80": "image/jls",
    "81": "image/jls", "90": "image/jp2", "91": "image/jp2", "201": "image/jphc", "202": "image/jphc",
    "203": "image/jphc",
}  # fmt: skip
COMPRESSED, RUN_LENGTHS = "1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5"
#: Bytes of an element before its value: with explicit VR and a length of 32 bits, and with implicit VR.
EXPLICIT_HEAD, IMPLICIT_HEAD = 12, 8
#: Largest number of frames in a response: the file is searched from the beginning for each of them.
MOST_FRAMES = 100


def is_compressed(syntax: str) -> bool:
    return syntax.startswith(COMPRESSED) or syntax == RUN_LENGTHS


def media_type(syntax: str) -> str:
    """The media type of frames in a transfer syntax."""
    if syntax == RUN_LENGTHS:
        return "image/dicom-rle"
    return MEDIA_TYPES.get(syntax.removeprefix(COMPRESSED), OCTETS) if syntax.startswith(COMPRESSED) else OCTETS


def numbers(text: str, header: Header) -> list[int]:
    """Read the numbers of frames from a list such as ``1,2``.

    Raises:
        Refused: ``invalid_parameter`` if a frame does not exist, or there are too many at once.
    """
    count = max(1, header.number("NumberOfFrames", 1))
    requested = [int(part) for part in text.split(",") if part]
    if not 0 < len(requested) <= MOST_FRAMES or not all(0 < number <= count for number in requested):
        raise Refused(
            "invalid_parameter",
            f"The frames of this instance are numbered 1 to {count}. At most {MOST_FRAMES} can be requested at once.",
        )
    return requested


def read(file: File, header: Header, frame_numbers: Sequence[int]) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of each frame, in blocks.

    Raises:
        Refused: ``representation_not_available`` or ``image_corrupt``. It is also raised later, at a damaged frame.
    """
    if header.pixels_at is None:
        raise missing(header)
    begin = header.pixels_at + (IMPLICIT_HEAD if header.syntax == IMPLICIT else EXPLICIT_HEAD)
    if is_compressed(header.syntax):
        first_frame = _compressed(file, header, begin, frame_numbers[0])  # now, so that an error becomes a response
        later_frames = (iter([_compressed(file, header, begin, number)]) for number in frame_numbers[1:])
        return chain([iter([first_frame])], later_frames)
    if header.syntax == BIG_ENDIAN:
        raise Refused(
            "representation_not_available",
            "This instance is stored in big-endian order, which frames do not support. Please retrieve the instance.",
        )
    size = _frame_size(header)
    if begin + max(frame_numbers) * size > file.size:
        raise damaged()
    return (slice_of(file, begin + (number - 1) * size, size) for number in frame_numbers)


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
    except Exception as error:  # pydicom may raise anything for a damaged file
        raise damaged() from error


def slice_of(file: File, begin: int, size: int) -> Iterator[bytes]:
    """Yield a part of a file, one block at a time."""
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
            "This instance is stored deflated, so single frames are not available. Please retrieve the instance.",
        )
    return Refused("representation_not_available", "This instance has no pixels.")


def damaged() -> Refused:
    return Refused("image_corrupt", "The pixels of this instance are damaged.")
