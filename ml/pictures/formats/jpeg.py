"""JPEG (ITU-T T.81): also with 12 bits, lossless, and JPEG-LS. Only what decoding needs goes to the decoder."""

import io
import re
import struct
from dataclasses import dataclass, field

import numpy as np
from imagecodecs import Jpeg8Error, JpeglsError, jpeg8_decode, jpegls_decode
from PIL import Image

from ml.pictures import limits
from ml.pictures.depth import Samples
from ml.pictures.formats.contents import (
    END_MISSING,
    Contents,
    corrupt,
    decoded_bytes,
    deep_bytes,
    truncated,
    unsupported,
)
from ml.pictures.metadata import Metadata

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOS, DNL, APP1, APP2 = 0xDA, 0xDC, 0xE1, 0xE2
#: The segments that define the colour space: JFIF's and Adobe's.
COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
#: Quantisation, Huffman and arithmetic tables, restarts, and JPEG-LS' parameters.
TABLES = (0xDB, 0xC4, 0xCC, 0xDD, 0xF8)
HUFFMAN, PROGRESSIVE, LOSSLESS, ARITHMETIC, JPEG_LS = (0xC0, 0xC1), (0xC2, 0xCA), 0xC3, (0xC9, 0xCA), 0xF7
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), JPEG_LS)
MARKER = re.compile(rb"\xff+[^\x00\xff]")
#: The next marker that is no restart. JPEG-LS stuffs bits: a byte below 80 follows each FF of its data.
AFTER_DATA = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
AFTER_JPEG_LS_DATA = re.compile(rb"\xff[\x80-\xfe]")
#: Decodes to something else than what a decoder takes for missing data.
FILLER = bytes(range(1, 255)) * 2


@dataclass
class File:
    """A JPEG taken apart.

    Attributes:
        needed: all that the decoder needs, without the end marker.
        height_at: the place of the height in it, which may come after the first scan.
        ended: whether the file has the end marker.
        scans: the number of scans; of the first, its components.
        refined: for each component the coefficients that a progressive file has to their last bit.
    """

    needed: bytearray = field(default_factory=lambda: bytearray(SOI))
    frame: int = 0
    precision: int = 0
    width: int = 0
    height: int = 0
    height_at: int = 0
    height_came_late: bool = False
    sampling: list[int] = field(default_factory=list)
    ended: bool = False
    scans: int = 0
    first_scan: int = 0
    refined: set[tuple[int, int]] = field(default_factory=set)
    exif: bytes = b""
    xmp: bytes = b""
    profile: list[bytes] = field(default_factory=list)


def read(content: bytes) -> Contents:
    """Decode a JPEG.

    Raises:
        ImageError: ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``, or a limit's code.
    """
    start = content.find(b"\xff\xd8\xff")
    file = _parse(content, start)
    if not file.frame or not file.scans:
        raise truncated()
    limits.check_size(file.width, file.height)
    about = _about(file)
    pixels = _decoded(file, bytes(file.needed) + EOI)
    if _is_cut_off(file, pixels):
        raise truncated()
    notes = [] if file.ended else [END_MISSING]
    plain = isinstance(pixels, Image.Image) and pixels.mode in ("L", "RGB") and file.frame in (0xC0, 0xC1, 0xC2)
    odd = start or file.height_came_late or notes or about.from_xmp or about.tone is not None or about.ignored
    return Contents(pixels, about, notes, browsers_show=plain and not odd)


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG of any size, such as one in a PDF, lacks pixels."""
    file = _parse(content, 0)
    return not file.scans or _is_cut_off(file, _decoded(file, bytes(file.needed) + EOI))


def _parse(content: bytes, start: int) -> File:
    file, at = File(), start + 2
    while found := MARKER.search(content, at):
        marker, at = content[found.end() - 1], found.end()
        if marker == EOI[1]:
            file.ended = True
            break
        if marker == SOI[1] and file.scans:
            break  # another picture begins in the middle of this one
        if marker in range(0xD0, 0xD9) or marker == 1:
            continue
        length = int.from_bytes(content[at : at + 2])
        segment = content[at + 2 : at + length]
        if length < 2 or len(segment) < length - 2:
            break
        at += length
        if marker in FRAMES:
            _frame(file, marker, segment)
        elif marker == SOS:
            at = _scan(file, content, segment, at)
        else:
            _take(file, marker, segment)
    return file


def _take(file: File, marker: int, segment: bytes) -> None:
    if marker in TABLES or (marker in COLOURS and segment.startswith(COLOURS[marker])):
        _keep(file, marker, segment)
    elif marker == DNL and not file.height and len(segment) == 2:
        # Decoders look for it in the frame's header.
        file.height, file.height_came_late = int.from_bytes(segment), True
        file.needed[file.height_at : file.height_at + 2] = segment
    elif marker == APP1 and segment.startswith(b"Exif\0") and not file.exif:
        file.exif = segment
    elif marker == APP1 and segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        file.xmp += segment
    elif marker == APP2 and segment.startswith(b"ICC_PROFILE\0"):
        file.profile.append(segment[12:])


def _keep(file: File, marker: int, segment: bytes) -> None:
    file.needed += bytes([0xFF, marker]) + struct.pack(">H", len(segment) + 2) + segment


def _frame(file: File, marker: int, segment: bytes) -> None:
    if file.frame:
        raise unsupported("A hierarchical JPEG")
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise corrupt()
    file.frame, file.height_at = marker, len(file.needed) + 5
    file.precision, file.height, file.width = struct.unpack(">BHH", segment[:5])
    file.sampling = [(place >> 4) * (place & 15) for place in segment[7 : 6 + 3 * segment[5] : 3]]
    _keep(file, marker, segment)


def _scan(file: File, content: bytes, segment: bytes, at: int) -> int:
    """Keep a scan; where its data ends is returned."""
    found = (AFTER_JPEG_LS_DATA if file.frame == JPEG_LS else AFTER_DATA).search(content, at)
    end = found.start() if found else len(content)
    restarts = [marker[1] & 7 for marker in re.findall(rb"\xff[\xd0-\xd7]", content[at:end])]
    if restarts != [place % 8 for place in range(len(restarts))]:
        raise corrupt()  # a part is missing, or there twice: decoders pass over that without a word
    _keep(file, SOS, segment)
    file.needed += content[at:end]
    components = segment[0] if segment else 0
    file.scans, file.first_scan = file.scans + 1, file.first_scan or components
    if len(segment) >= 4 + 2 * components:
        first, last, approximation = segment[1 + 2 * components : 4 + 2 * components]
        if not approximation & 15:
            parts = segment[1 : 1 + 2 * components : 2]
            file.refined |= {(part, place) for part in parts for place in range(first, min(last, 63) + 1)}
    return end


def _about(file: File) -> Metadata:
    about = Metadata()
    about.read_orientation(file.exif, file.xmp)
    if file.profile:
        about.read_profile(b"".join(part[2:] for part in sorted(file.profile)))  # each begins with its number
    return about


def _decoded(file: File, content: bytes) -> Image.Image | Samples:
    channels = len(file.sampling)
    if file.precision == 8 and file.frame in (*HUFFMAN, *PROGRESSIVE, *ARITHMETIC):
        return _eight_bits(file, content)
    if file.frame not in (*HUFFMAN, 0xC2, LOSSLESS, JPEG_LS) or channels not in (1, 3):
        raise unsupported("This kind of JPEG")
    # 16 bits a sample, and what a decoder that needs all coefficients at once gathers.
    copies = 2 if file.frame == 0xC2 or file.scans > 1 else 1
    limits.check_memory(file.width, file.height, deep_bytes(file.width, file.height, channels, copies=copies))
    decode = jpegls_decode if file.frame == JPEG_LS else jpeg8_decode
    try:
        values = np.asarray(decode(content))
    except (Jpeg8Error, JpeglsError) as error:
        if "nsupported" in str(error) or "not implemented" in str(error).lower():
            raise unsupported(f"A JPEG of this kind with {file.precision} bits") from error
        if not file.ended:
            raise truncated() from error
        raise
    return Image.fromarray(values) if values.dtype == np.uint8 else Samples(values, 2.0**file.precision - 1)


def _eight_bits(file: File, content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=["JPEG"])
    gathered = _gathered_bytes(file)
    # A large JPEG in colour is read as the grey that it holds.
    if image.mode == "RGB" and decoded_bytes(image) + gathered > limits.MAX_DECODED_BYTES:
        image.draft("L", image.size)
    limits.check_memory(*image.size, decoded_bytes(image) + gathered)
    image.load()
    return image


def _gathered_bytes(file: File) -> int:
    """The memory of the decoder before the first pixel of an image in several scans: 16 bits a value."""
    if file.frame not in PROGRESSIVE and file.first_scan == len(file.sampling):
        return 0
    return 2 * file.width * file.height * sum(file.sampling) // max(*file.sampling, 1)


def _is_cut_off(file: File, pixels: Image.Image | Samples) -> bool:
    looks_whole = file.ended and not _lacks_scans(file) and not _looks_filled(pixels)
    return not looks_whole and not _is_whole(file, pixels)


def _is_whole(file: File, pixels: Image.Image | Samples) -> bool:
    """Whether all pixels are in the file: then nothing that is appended to it changes one."""
    if _lacks_scans(file):
        return False
    if file.frame == JPEG_LS:
        return True  # whose decoder refuses what lacks pixels, and what has more
    other = _decoded(file, bytes(file.needed) + FILLER + EOI)
    return _bytes(other) == _bytes(pixels)


def _lacks_scans(file: File) -> bool:
    """Whether a progressive file ends before its last scans, without which it is the same picture, but coarser."""
    return file.frame in PROGRESSIVE and len(file.refined) < 64 * len(file.sampling)


def _looks_filled(pixels: Image.Image | Samples) -> bool:
    """Whether the last pixels are the grey that decoders take for missing data."""
    if isinstance(pixels, Samples):
        corner, grey = pixels.values[-1, -8:], (pixels.white + 1) / 2
    else:
        corner = np.asarray(pixels.crop((pixels.width - 8, pixels.height - 1, pixels.width, pixels.height)))
        grey = 128.0
    return bool(np.abs(corner.astype(float) - grey).max() <= grey / 100)


def _bytes(pixels: Image.Image | Samples) -> bytes:
    return pixels.tobytes() if isinstance(pixels, Image.Image) else pixels.values.tobytes()
