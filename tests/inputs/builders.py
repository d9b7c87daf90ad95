"""Files with one peculiarity each, for the table of cases."""

import re
import struct
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import imagecodecs
import numpy as np
from PIL import Image

from tests.inputs.containers import (
    STORED,
    Pixels,
    channels,
    chunk,
    deep,
    encoded,
    exif,
    in_jpeg,
    jpeg,
    png,
    segment,
)
from tests.inputs.tones import linear, profile


def stray(values: np.ndarray, value: int, count: int = 1) -> np.ndarray:
    """Set some pixels to one value, like a dead pixel or a burnt-in marker."""
    changed = values.copy()
    side = max(1, int(count**0.5))
    changed[5 : 5 + side, 7 : 7 + side] = value
    return changed


def keyed(values: np.ndarray) -> np.ndarray:
    """Replace the value 1, so that it can be declared transparent."""
    return np.where(values == 1, 2, values).astype(values.dtype)


def turned_jpeg(p: Pixels, orientation: int, *segments: bytes) -> bytes:
    return in_jpeg(jpeg(np.ascontiguousarray(STORED[orientation](p))), *segments)


def webp(p: Pixels, orientation: int) -> bytes:
    return encoded(
        Image.fromarray(STORED[orientation](p)).convert("RGB"), "WEBP", lossless=True, exif=exif(orientation)
    )


def hidden(p: Pixels) -> Image.Image:
    """Grey with an alpha channel that was never set and is 0."""
    return Image.merge("LA", (Image.fromarray(p), Image.new("L", p.shape[::-1], 0)))


def animated(p: Pixels, form: str) -> bytes:
    first = Image.fromarray(p).convert("RGB")
    return encoded(first, form, save_all=True, append_images=[Image.fromarray(255 - p).convert("RGB")], duration=100)


def truncated(content: bytes, share: float = 0.5) -> bytes:
    return content[: int(len(content) * share)]


def text_pdf(lines: int = 3) -> bytes:
    stream = b"BT /F1 12 Tf 72 700 Td " + b"(Chest: no finding.) Tj 0 -14 Td " * lines + b"ET"
    return pdf_of(
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 << /Type "
        b"/Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream",
    )


def pdf_of(page: bytes, *others: bytes) -> bytes:
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, *others]
    content, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n" % number + one + b"\nendobj\n"
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(
        b"%010d 00000 n \n" % at for at in places
    )
    end = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(content))
    return content + table + end


def scan_pdf(p: Pixels, *, rotate: int = 0, decode: bytes = b"", margin: int = 0, bits: int = 8) -> bytes:
    """One picture on a page, in the ways that scanners write it."""
    height, width = p.shape
    samples = zlib.compress((p if bits == 8 else p.astype(">u2") * 257).tobytes())
    draw = b"q %d 0 0 %d %d %d cm /Im0 Do Q" % (width, height, margin, margin)
    return pdf_of(
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Rotate %d /Contents 4 0 R /Resources << /XObject << /Im0 "
        b"5 0 R >> >> >>" % (width + 2 * margin, height + 2 * margin, rotate),
        b"<< /Length %d >>\nstream\n" % len(draw) + draw + b"\nendstream",
        b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent %d %s "
        b"/Filter /FlateDecode /Length %d >>\nstream\n"
        % (width, height, bits, decode, len(samples))
        + samples
        + b"\nendstream",
    )


def resized(content: bytes, at: int, form: str, *sides: int) -> bytes:
    """A file whose header claims another size."""
    return content[:at] + struct.pack(form, *sides) + content[at + struct.calcsize(form) :]


def jpeg2000_bomb(p: Pixels) -> bytes:
    content = imagecodecs.jpeg2k_encode(p[:64, :64], level=0, codecformat="j2k")
    return resized(content, content.index(b"\xff\x4f\xff\x51") + 8, ">2I", 30_000, 30_000)


def tiled_jpeg2000(p: Pixels) -> bytes:
    return encoded(Image.fromarray(p), "JPEG2000", tile_size=(128, 128), no_jp2=True)


def without_last_tile(content: bytes) -> bytes:
    return content[: content.rindex(b"\xff\x90\0\x0a")] + b"\xff\xd9"


def bad_crc(p: Pixels, kind: bytes, data: bytes) -> bytes:
    return png(p, chunk(kind, data, checksum=1))


def png_alpha(p: Pixels) -> bytes:
    """White with the picture as its alpha channel."""
    both = np.stack([np.full(p.shape, 65535, np.uint16), deep(p, 16)], axis=-1)
    return imagecodecs.png_encode(both)


def inverted_palette(p: Pixels) -> bytes:
    image = Image.fromarray(255 - p)
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([grey for index in range(256) for grey in (255 - index,) * 3])
    return encoded(image, "GIF")


def bmp_alpha(p: Pixels) -> bytes:
    """A BMP of 32 bits per pixel. A mask declares the last byte as alpha, but it was never set."""
    height, width = p.shape
    data = np.zeros((height, width, 4), np.uint8)
    data[..., :3] = p[::-1, :, np.newaxis]
    head = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, data.size, 2835, 2835, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + data.size, 0, 0, 14 + len(head)) + head + data.tobytes()


def wrong_data_checksum(p: Pixels) -> bytes:
    content = png(p)
    end = content.index(b"IEND") - 4
    return content[: end - 4] + b"\0\0\0\1" + content[end:]


def with_stream(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A PNG with other compressed data, in a chunk whose own checksum is right."""
    at = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, at)
    return content[:at] + chunk(b"IDAT", change(content[at + 8 : at + 8 + length])) + content[at + 12 + length :]


def repacked(content: bytes, share: float) -> bytes:
    """A PNG whose pixels end after a share of their bytes, in compressed data that is complete."""

    def first(data: bytes) -> bytes:
        rows = zlib.decompress(data)
        return zlib.compress(rows[: int(len(rows) * share)])

    return with_stream(content, first)


def late_height(p: Pixels) -> bytes:
    """A JPEG whose height stands after its first scan (DNL)."""
    content = jpeg(p)
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + b"\0\0" + content[at + 2 : -2] + segment(0xDC, content[at : at + 2]) + content[-2:]


def first_scans(content: bytes) -> bytes:
    scans = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\xff\xda"]
    return content[: scans[3]]


def jpeg_bomb(side: int) -> bytes:
    content = jpeg(np.zeros((64, 64), np.uint8))
    return resized(content, content.index(b"\xff\xc0") + 5, ">2H", side, side)


def lossless_bomb(p: Pixels) -> bytes:
    content = imagecodecs.jpeg8_encode(channels(p[:64, :64], "RGB"), lossless=True)
    return resized(content, content.index(b"\xff\xc3") + 5, ">2H", 9_900, 9_900)


def with_depth(content: bytes, bits: int) -> bytes:
    """An HEIC that declares another depth than its pixels have."""
    return resized(content, content.index(b"hvcC") + 4 + 17, "BB", 0xF8 | bits - 8, 0xF8 | bits - 8)


def restarting_jpeg(p: Pixels, without: Iterable[int] = ()) -> bytes:
    """A JPEG with restart markers, without some of them and the data that follows each."""
    content = encoded(Image.fromarray(p), "JPEG", quality=97, restart_marker_rows=2)
    places = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)] + [len(content) - 2]
    parts = [content[at:end] for number, (at, end) in enumerate(pairwise(places)) if number not in without]
    return content[: places[0]] + b"".join(parts) + content[-2:]


def of_palette(p: Pixels, colours: int) -> bytes:
    """A PNG of palette indexes, with only ``colours`` colours in the palette."""
    palette = b"".join(bytes([index] * 3) for index in range(colours))
    content = png(p, chunk(b"PLTE", palette))
    head = content[16:24] + b"\x08\x03\0\0\0"
    return content.replace(content[8:33], chunk(b"IHDR", head), 1)


def two_components(p: Pixels) -> bytes:
    """A JPEG that declares two components."""
    content = jpeg(p)
    at = content.index(b"\xff\xc0")
    return content[:at] + segment(0xC0, content[at + 4 : at + 9] + b"\2\1\x11\0\2\x11\0") + content[at + 13 :]


def profiled_jpeg2000(p: Pixels) -> bytes:
    """A JPEG 2000 of values that are proportional to light, with a profile instead of the number for grey."""
    content = imagecodecs.jpeg2k_encode(linear(p), level=0, reversible=True, codecformat="jp2")
    header, at = content.index(b"jp2h") - 4, content.index(b"colr") - 4
    length, end = (int.from_bytes(content[place : place + 4]) for place in (header, at))
    colours = b"colr\2\0\0" + profile(1.0)
    box = struct.pack(">I", 4 + len(colours)) + colours
    longer = struct.pack(">I", length - end + len(box))
    return content[:header] + longer + content[header + 4 : at] + box + content[at + end :]
