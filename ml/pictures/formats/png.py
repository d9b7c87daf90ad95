"""PNG (ISO/IEC 15948). Only the chunks that hold pixels go to the decoder; other chunks are read separately."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from imagecodecs import PngError, png_decode
from PIL import Image

from ml.errors import ImageError
from ml.pictures import metadata
from ml.pictures.depth import Samples
from ml.pictures.formats import png_stream
from ml.pictures.formats.contents import (
    END_MISSING,
    Contents,
    corrupt,
    deep_bytes,
    header,
    one_picture,
    truncated,
    unsupported,
)
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import EXIF, Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels by colour type.
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
XMP = b"XML:com.adobe.xmp\0"
#: The text chunk in which ImageMagick keeps EXIF.
RAW_EXIF = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
#: Chunk names in messages about damage.
ANCILLARY = {b"PLTE": "a palette", b"tRNS": "the transparency", b"iCCP": "the colour profile", b"gAMA": "the gamma",
             b"eXIf": EXIF, b"iTXt": "a text", b"tEXt": "a text", b"zTXt": "a text"}  # fmt: skip
PIXELS = (b"IHDR", b"PLTE", b"IDAT")
#: Bytes of tRNS by colour type: those of a palette have any number, and pixels with an alpha channel none.
KEY_BYTES = {0: 2, 2: 6}
#: What Apple's tools put before the header of a PNG whose pixels are stored in a way of their own.
APPLE = b"CgBI"
#: cICP's number for values that are proportional to light, and those of high dynamic range (ITU-T H.273).
LINEAR, HIGH_RANGE = 8, (16, 18)


@dataclass
class File:
    """A PNG taken apart."""

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
    about, notes = _about(file), []
    if not file.intact:
        if not png_stream.unpacked_size(file.data)[1]:
            raise corrupt()
        about.ignore("a checksum")
    elif not file.ended:
        notes.append(END_MISSING)
    needed = png_stream.size(width, height, depth * CHANNELS[colour], interlaced)
    try:
        pixels = _pixels(file, depth, colour, needed)
    except (ImageError, OSError, PngError) as error:
        if isinstance(error, ImageError) and error.code == "image_too_large":
            raise
        # Where the chunks' own checksums are right, the pixels are as they were written.
        mended = png_stream.with_checksum(file.data, needed) if file.intact else None
        if mended is None:
            raise
        file.data = mended
        about.ignore("a checksum")
        pixels = _pixels(file, depth, colour, needed)
    return Contents(pixels, about, notes)


def _pixels(file: File, depth: int, colour: int, needed: int) -> Image.Image | Samples:
    if depth == 16:
        return _deep(file, CHANNELS[colour])
    image = header(_rebuilt(file, depth, colour), ["PNG"])
    image.load()
    # Pillow leaves rows black that the data lack, where their stream has an end. Of interlaced ones any may be missing.
    doubtful = file.chunks[b"IHDR"][12] or not image.crop((0, image.height - 1, *image.size)).getbbox()
    if doubtful and png_stream.unpacked_size(file.data)[0] < needed:
        raise truncated()
    if colour == 3 and any(image.histogram()[len(file.chunks[b"PLTE"]) // 3 :]):
        raise corrupt()  # Pillow shows colours that the palette lacks as black
    return image


def _head(file: File) -> tuple[int, int, int, int, bool]:
    """Width, height, depth, colour type, and whether it is interlaced."""
    head = file.chunks.get(b"IHDR", b"")
    if not head:
        raise truncated()
    if APPLE in file.chunks:
        raise unsupported("A PNG for iPhones")
    if len(head) != 13 or head[9] not in CHANNELS:
        raise corrupt()
    width, height, depth, colour = struct.unpack(">IIBB", head[:10])
    check_size(width, height)
    one_picture(int.from_bytes(file.chunks.get(b"acTL", b"")[:4]))
    if not file.data:
        raise truncated()
    if b"tRNS" in file.chunks and not _is_sound_key(file.chunks, colour):
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
        sound = cut or zlib.crc32(kind + data) == int.from_bytes(checksum)
        at += 12 + length
        if kind == b"IEND":
            file.ended = True
            break
        _take(file, kind, data, sound)
        if cut:
            break
    return file


def _is_sound_key(chunks: dict[bytes, bytes], colour: int) -> bool:
    """Whether what names the transparent grey, colour or places of the palette has the right length."""
    if colour == 3:
        return 0 < len(chunks[b"tRNS"]) <= len(chunks.get(b"PLTE", b"")) // 3
    return len(chunks[b"tRNS"]) == KEY_BYTES.get(colour)


def _take(file: File, kind: bytes, data: bytes, sound: bool) -> None:
    if kind == b"IDAT":
        file.data.append(data)
        file.intact = file.intact and sound
    elif not sound:
        if kind[:1].isupper() and not (kind == b"PLTE" and file.chunks.get(b"IHDR", b"")[9:10] != b"\3"):
            raise corrupt()
        file.ignored.append(ANCILLARY.get(kind, "a block"))
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        file.texts.append((kind, data))
    elif kind[:1].isupper() and kind not in (*PIXELS, APPLE):
        raise unsupported("A PNG with pixels that are stored in a way of their own")
    else:
        file.chunks.setdefault(kind, data)


def _about(file: File) -> Metadata:
    about = Metadata(ignored=list(dict.fromkeys(file.ignored)))
    exif, xmp = file.chunks.get(b"eXIf"), None
    for kind, data in file.texts:
        text = data.partition(b"\0")[2]
        if kind == b"iTXt" and data.startswith(XMP):
            packed, _, rest = text[:1], text[1:2], text[2:]
            rest = rest.partition(b"\0")[2].partition(b"\0")[2]
            xmp = _unpacked(rest, about, "a text") if packed == b"\1" else rest
        elif data.startswith(RAW_EXIF) and not exif:
            exif = _raw_exif(_unpacked(text[1:], about, "a text") if kind == b"zTXt" else text, about)
    about.read_orientation(exif, xmp)
    coding = file.chunks.get(b"cICP", b"")
    if len(coding) == 4 and coding[1] in HIGH_RANGE:
        raise unsupported("A PNG of high dynamic range")
    if len(coding) == 4 and coding[1] == LINEAR:
        about.read_gamma(100_000)
        return about
    profile = file.chunks.get(b"iCCP")
    unpacked = profile and _unpacked(profile.partition(b"\0")[2][1:], about, ANCILLARY[b"iCCP"])
    if not (unpacked and about.read_profile(unpacked)) and b"sRGB" not in file.chunks and b"gAMA" in file.chunks:
        about.read_gamma(int.from_bytes(file.chunks[b"gAMA"][:4]))
    return about


def _unpacked(data: bytes, about: Metadata, what: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(data, metadata.MAX_BYTES)
    except zlib.error:
        about.ignore(what)
        return b""
    if stream.eof:
        return unpacked
    about.ignore(what)
    return b""


def _raw_exif(text: bytes, about: Metadata) -> bytes | None:
    """Name, length, and the block in hexadecimal."""
    try:
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except ValueError:
        about.ignore(EXIF)
        return None


def _rebuilt(file: File, depth: int, colour: int) -> bytes:
    """A PNG of the pixels alone; with 16 bits, without the colour that is transparent."""
    transparent = file.chunks.get(b"tRNS") if depth < 16 else None
    if transparent is not None and colour == 0 and depth in (2, 4):
        # Pillow scales such greys to 8 bits, and not the one that is transparent.
        scaled = int.from_bytes(transparent[:2]) * 255 // (2**depth - 1)
        transparent = struct.pack(">H", min(scaled, 65535))
    parts = [SIGNATURE, _chunk(b"IHDR", file.chunks[b"IHDR"])]
    if colour == 3 and (palette := file.chunks.get(b"PLTE")):  # others only suggest one
        parts.append(_chunk(b"PLTE", palette))
    if transparent is not None:
        parts.append(_chunk(b"tRNS", transparent))
    return b"".join([*parts, *(_chunk(b"IDAT", data) for data in file.data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _deep(file: File, channels: int) -> Samples:
    width, height = struct.unpack(">II", file.chunks[b"IHDR"][:8])
    check_memory(width, height, deep_bytes(width, height, channels))
    try:
        values = np.asarray(png_decode(_rebuilt(file, 16, 0)))
    except PngError as error:
        if any(hint in str(error).lower() for hint in ("read error", "not enough")):
            raise truncated() from error
        raise
    key = file.chunks.get(b"tRNS")  # which the decoder would make a channel of
    transparent = struct.unpack(f">{channels}H", key) if key and len(key) == 2 * channels else None
    return Samples(values, 65535.0, transparent=transparent)
