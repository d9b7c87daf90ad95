"""Split a JPEG (ITU-T T.81) into the segments that decoding needs and its metadata."""

import re
import struct
from dataclasses import dataclass, field

from ml.pictures.formats.contents import corrupt, unsupported

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOS, DNL, DRI, APP1, APP2 = 0xDA, 0xDC, 0xDD, 0xE1, 0xE2
#: Segments that define the colour space: those of JFIF and Adobe.
COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
#: Quantisation, Huffman and arithmetic tables, restart interval, and JPEG-LS parameters.
TABLES = (0xDB, 0xC4, 0xCC, 0xDD, 0xF8)
HUFFMAN, PROGRESSIVE, LOSSLESS, ARITHMETIC, JPEG_LS = (0xC0, 0xC1), (0xC2, 0xCA), 0xC3, (0xC9, 0xCA), 0xF7
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), JPEG_LS)
MARKER = re.compile(rb"\xff+[^\x00\xff]")
#: The next marker other than a restart. JPEG-LS stuffs bits: in its data, a byte below 0x80 follows each 0xFF.
AFTER_DATA = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
AFTER_JPEG_LS_DATA = re.compile(rb"\xff[\x80-\xfe]")


@dataclass
class File:
    """The parts of a JPEG.

    Attributes:
        needed: all bytes that the decoder needs, without the end marker.
        height_at: offset of the height in ``needed``.
        height_came_late: whether the height came after the first scan (DNL).
        sampling: for each component, the number of its samples in a unit of the frame.
        unit: size of a unit in blocks of 8 pixels, across and down.
        interval: units between two restart markers; 0 without restart markers.
        ended: whether the file has the end marker.
        scans: number of scans.
        first_scan: number of components in the first scan.
        refined: pairs of component and coefficient that a progressive file contains to the last bit.
    """

    needed: bytearray = field(default_factory=lambda: bytearray(SOI))
    frame: int = 0
    precision: int = 0
    width: int = 0
    height: int = 0
    height_at: int = 0
    height_came_late: bool = False
    sampling: list[int] = field(default_factory=list)
    unit: tuple[int, int] = (1, 1)
    interval: int = 0
    ended: bool = False
    scans: int = 0
    first_scan: int = 0
    refined: set[tuple[int, int]] = field(default_factory=set)
    exif: bytes = b""
    xmp: bytes = b""
    profile: list[bytes] = field(default_factory=list)


def parse(content: bytes, start: int) -> File:
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
            _add_segment(file, marker, segment)
    return file


def _add_segment(file: File, marker: int, segment: bytes) -> None:
    if marker in TABLES or (marker in COLOURS and segment.startswith(COLOURS[marker])):
        _append(file, marker, segment)
        if marker == DRI:
            file.interval = int.from_bytes(segment[:2])
    elif marker == DNL and not file.height and len(segment) == 2:
        # Decoders look for the height in the frame's header.
        file.height, file.height_came_late = int.from_bytes(segment), True
        file.needed[file.height_at : file.height_at + 2] = segment
    elif marker == APP1 and segment.startswith(b"Exif\0") and not file.exif:
        file.exif = segment
    elif marker == APP1 and segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        file.xmp += segment
    elif marker == APP2 and segment.startswith(b"ICC_PROFILE\0"):
        file.profile.append(segment[12:])


def _append(file: File, marker: int, segment: bytes) -> None:
    file.needed += bytes([0xFF, marker]) + struct.pack(">H", len(segment) + 2) + segment


def _frame(file: File, marker: int, segment: bytes) -> None:
    if file.frame:
        raise unsupported("A hierarchical JPEG")
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        raise corrupt()
    file.frame, file.height_at = marker, len(file.needed) + 5
    file.precision, file.height, file.width = struct.unpack(">BHH", segment[:5])
    factors = [(byte >> 4, byte & 15) for byte in segment[7 : 6 + 3 * segment[5] : 3]]
    file.sampling = [across * down for across, down in factors]
    if len(factors) > 1:
        file.unit = max(across for across, _ in factors), max(down for _, down in factors)
    _append(file, marker, segment)


def _scan(file: File, content: bytes, segment: bytes, at: int) -> int:
    """Keep a scan, and return the offset at which its data end."""
    found = (AFTER_JPEG_LS_DATA if file.frame == JPEG_LS else AFTER_DATA).search(content, at)
    end = found.start() if found else len(content)
    restarts = [marker[1] & 7 for marker in re.findall(rb"\xff[\xd0-\xd7]", content[at:end])]
    components = segment[0] if segment else 0
    in_order = restarts == [index % 8 for index in range(len(restarts))]
    if not in_order or (found and len(restarts) < _least_restarts(file, components)):
        raise corrupt()  # a part is missing or repeated, which decoders ignore silently
    _append(file, SOS, segment)
    file.needed += content[at:end]
    file.scans, file.first_scan = file.scans + 1, file.first_scan or components
    if len(segment) >= 4 + 2 * components:
        first, last, approximation = segment[1 + 2 * components : 4 + 2 * components]
        if not approximation & 15:
            parts = segment[1 : 1 + 2 * components : 2]
            file.refined |= {(part, index) for part in parts for index in range(first, min(last, 63) + 1)}
    return end


def _least_restarts(file: File, components: int) -> int:
    """Least number of restart markers in a scan of ``components`` components; 0 if unknown."""
    if not file.interval or components != len(file.sampling) or file.frame in (LOSSLESS, JPEG_LS):
        return 0
    across, down = file.unit
    units = -(-file.width // (8 * max(1, across))) * -(-file.height // (8 * max(1, down)))
    return max(0, -(-units // file.interval) - 1)
