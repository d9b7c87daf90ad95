"""PNG (ISO/IEC 15948). The decoder gets only the chunks that describe pixels. Other chunks are read separately."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from imagecodecs import PngError, png_decode
from PIL import Image

from ml.errors import ImageError
from ml.pictures.depth import Samples
from ml.pictures.formats import png_stream
from ml.pictures.formats.contents import (
    END_MISSING,
    Contents,
    check_single_picture,
    corrupt,
    deep_bytes,
    header,
    truncated,
    unsupported,
)
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import EXIF, MAX_BYTES, Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Number of channels by colour type.
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
XMP = b"XML:com.adobe.xmp\0"
#: Names of the text chunk in which ImageMagick keeps EXIF.
RAW_EXIF = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
#: Names of chunks for messages about damage.
ANCILLARY = {b"PLTE": "a palette", b"tRNS": "the transparency", b"iCCP": "the colour profile", b"gAMA": "the gamma",
             b"eXIf": EXIF, b"iTXt": "a text", b"tEXt": "a text", b"zTXt": "a text"}  # fmt: skip
PIXELS = (b"IHDR", b"PLTE", b"IDAT")
#: Length of tRNS by colour type. Palettes allow any length, and colour types with an alpha channel no tRNS.
KEY_BYTES = {0: 2, 2: 6}
#: Chunk that Apple's tools put before the header of a PNG in their own pixel format.
APPLE = b"CgBI"
#: Transfer characteristics in cICP (ITU-T H.273): linear light, and high dynamic range.
LINEAR, HIGH_RANGE = 8, (16, 18)


@dataclass
class File:
    """The parts of a PNG."""

    data: list[bytes] = field(default_factory=list)
    intact: bool = True
    ended: bool = False
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def read(content: bytes) -> Contents:
    """Decode a PNG.

    Raises:
        ImageError: ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``, ``several_pictures``,
            ``image_too_large`` or ``image_too_small``.
    """
    file = _parse(content, content.find(SIGNATURE) + len(SIGNATURE))
    width, height, depth, colour, interlaced = _head(file)
    metadata, notes = _metadata(file), []
    if not file.intact:
        if not png_stream.unpacked_size(file.data)[1]:
            raise corrupt()
        metadata.ignore("a checksum")
    elif not file.ended:
        notes.append(END_MISSING)
    needed = png_stream.size(width, height, depth * CHANNELS[colour], interlaced)
    try:
        pixels = _pixels(file, depth, colour, needed)
    except (ImageError, OSError, PngError) as error:
        if isinstance(error, ImageError) and error.code == "image_too_large":
            raise
        # If the checksums of the chunks are right, the pixels are intact. Only their stream's checksum may be wrong.
        repaired = png_stream.with_checksum(file.data, needed) if file.intact else None
        if repaired is None:
            raise
        file.data = repaired
        metadata.ignore("a checksum")
        pixels = _pixels(file, depth, colour, needed)
    return Contents(pixels, metadata, notes)


def _pixels(file: File, depth: int, colour: int, needed: int) -> Image.Image | Samples:
    if depth == 16:
        return _decode_16_bits(file, CHANNELS[colour])
    image = header(_with_pixels_only(file, depth, colour), ["PNG"])
    image.load()
    # Pillow leaves missing rows black if the stream has an end. In interlaced pictures, any row may be missing.
    doubtful = file.chunks[b"IHDR"][12] or not image.crop((0, image.height - 1, *image.size)).getbbox()
    if doubtful and png_stream.unpacked_size(file.data)[0] < needed:
        raise truncated()
    if colour == 3 and any(image.histogram()[len(file.chunks[b"PLTE"]) // 3 :]):
        raise corrupt()  # Pillow shows colours outside the palette as black
    return image


def _head(file: File) -> tuple[int, int, int, int, bool]:
    """Width, height, depth, colour type, and whether the picture is interlaced."""
    head = file.chunks.get(b"IHDR", b"")
    if not head:
        raise truncated()
    if APPLE in file.chunks:
        raise unsupported("A PNG for iPhones")
    if len(head) != 13 or head[9] not in CHANNELS:
        raise corrupt()
    width, height, depth, colour = struct.unpack(">IIBB", head[:10])
    check_size(width, height)
    check_single_picture(int.from_bytes(file.chunks.get(b"acTL", b"")[:4]))
    if not file.data:
        raise truncated()
    if b"tRNS" in file.chunks and not _is_valid_trns(file.chunks, colour):
        del file.chunks[b"tRNS"]
        file.ignored.append(ANCILLARY[b"tRNS"])
    return width, height, depth, colour, bool(head[12])


def _parse(content: bytes, at: int) -> File:
    file = File()
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        data, checksum = content[at + 8 : at + 8 + length], content[at + 8 + length : at + 12 + length]
        cut = len(checksum) < 4
        if cut and kind != b"IDAT":
            break
        valid = cut or zlib.crc32(kind + data) == int.from_bytes(checksum)
        at += 12 + length
        if kind == b"IEND":
            file.ended = True
            break
        _add_chunk(file, kind, data, valid)
        if cut:
            break
    return file


def _is_valid_trns(chunks: dict[bytes, bytes], colour: int) -> bool:
    """Whether tRNS, with the transparent grey, colour or palette entries, has a valid length."""
    if colour == 3:
        return 0 < len(chunks[b"tRNS"]) <= len(chunks.get(b"PLTE", b"")) // 3
    return len(chunks[b"tRNS"]) == KEY_BYTES.get(colour)


def _add_chunk(file: File, kind: bytes, data: bytes, valid: bool) -> None:
    if kind == b"IDAT":
        file.data.append(data)
        file.intact = file.intact and valid
    elif not valid:
        if kind[:1].isupper() and not (kind == b"PLTE" and file.chunks.get(b"IHDR", b"")[9:10] != b"\3"):
            raise corrupt()
        file.ignored.append(ANCILLARY.get(kind, "a block"))
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        file.texts.append((kind, data))
    elif kind[:1].isupper() and kind not in (*PIXELS, APPLE):
        raise unsupported("A PNG with pixels that are stored in a way of their own")
    else:
        file.chunks.setdefault(kind, data)


def _metadata(file: File) -> Metadata:
    metadata = Metadata(ignored=list(dict.fromkeys(file.ignored)))
    exif, xmp = file.chunks.get(b"eXIf"), None
    for kind, data in file.texts:
        text = data.partition(b"\0")[2]
        if kind == b"iTXt" and data.startswith(XMP):
            packed, _, rest = text[:1], text[1:2], text[2:]
            rest = rest.partition(b"\0")[2].partition(b"\0")[2]
            xmp = _decompress(rest, metadata, "a text") if packed == b"\1" else rest
        elif data.startswith(RAW_EXIF) and not exif:
            exif = _raw_exif(_decompress(text[1:], metadata, "a text") if kind == b"zTXt" else text, metadata)
    metadata.read_orientation(exif, xmp)
    coding = file.chunks.get(b"cICP", b"")
    if len(coding) == 4 and coding[1] in HIGH_RANGE:
        raise unsupported("A PNG of high dynamic range")
    if len(coding) == 4 and coding[1] == LINEAR:
        metadata.read_gamma(100_000)
        return metadata
    profile = file.chunks.get(b"iCCP")
    unpacked = profile and _decompress(profile.partition(b"\0")[2][1:], metadata, ANCILLARY[b"iCCP"])
    if not (unpacked and metadata.read_profile(unpacked)) and b"sRGB" not in file.chunks and b"gAMA" in file.chunks:
        metadata.read_gamma(int.from_bytes(file.chunks[b"gAMA"][:4]))
    return metadata


def _decompress(data: bytes, metadata: Metadata, part: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(data, MAX_BYTES)
    except zlib.error:
        metadata.ignore(part)
        return b""
    if stream.eof:
        return unpacked
    metadata.ignore(part)
    return b""


def _raw_exif(text: bytes, metadata: Metadata) -> bytes | None:
    """Parse EXIF from ImageMagick's text: a name, a length, and the block in hexadecimal."""
    try:
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except ValueError:
        metadata.ignore(EXIF)
        return None


def _with_pixels_only(file: File, depth: int, colour: int) -> bytes:
    """Build a PNG of the pixels alone; with 16 bits, without the transparent colour."""
    transparent = file.chunks.get(b"tRNS") if depth < 16 else None
    if transparent is not None and colour == 0 and depth in (2, 4):
        # Pillow scales these greys to 8 bits, but not the transparent one.
        scaled = int.from_bytes(transparent[:2]) * 255 // (2**depth - 1)
        transparent = struct.pack(">H", min(scaled, 65535))
    parts = [SIGNATURE, _chunk(b"IHDR", file.chunks[b"IHDR"])]
    if colour == 3 and (palette := file.chunks.get(b"PLTE")):  # only a suggestion for other colour types
        parts.append(_chunk(b"PLTE", palette))
    if transparent is not None:
        parts.append(_chunk(b"tRNS", transparent))
    return b"".join([*parts, *(_chunk(b"IDAT", data) for data in file.data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _decode_16_bits(file: File, channels: int) -> Samples:
    width, height = struct.unpack(">II", file.chunks[b"IHDR"][:8])
    check_memory(width, height, deep_bytes(width, height, channels))
    try:
        values = np.asarray(png_decode(_with_pixels_only(file, 16, 0)))
    except PngError as error:
        if any(hint in str(error).lower() for hint in ("read error", "not enough")):
            raise truncated() from error
        raise
    key = file.chunks.get(b"tRNS")  # left out above, since the decoder would make a channel of it
    transparent = struct.unpack(f">{channels}H", key) if key and len(key) == 2 * channels else None
    return Samples(values, 65535.0, transparent=transparent)
