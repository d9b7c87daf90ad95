"""Formats that Pillow reads: BMP, GIF, WebP, and AVIF with 8 bits. Deeper AVIF files keep their depth."""

import struct

import numpy as np
from imagecodecs import avif_decode
from PIL import Image

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import Contents, check_single_picture, deep_bytes, header, truncated
from ml.pictures.limits import check_memory
from ml.pictures.metadata import Metadata


def bmp(content: bytes) -> Contents:
    """Decode a BMP. An alpha channel that is zero everywhere is an unused byte, and is ignored."""
    image = header(content, ["BMP"])
    if len(content) < _bmp_end(content, *image.size):
        raise truncated()
    image.load()
    if image.mode == "RGBA" and not image.getchannel("A").getbbox():
        image = image.convert("RGB")
    return Contents(image, metadata_of(image))


def _bmp_end(content: bytes, width: int, height: int) -> int:
    """Offset at which the last pixel of an uncompressed BMP ends; 0 for other BMPs."""
    if len(content) < 34:
        return 0
    start, head, bits, compression = struct.unpack_from("<I", content, 10) + struct.unpack_from("<I10xHI", content, 14)
    if head < 40 or compression not in (0, 3):  # an OS/2 BMP, or a compressed one
        return 0
    row = width * bits
    return int(start + (height - 1) * ((row + 31) // 32 * 4) + (row + 7) // 8)


def gif(content: bytes) -> Contents:
    """Decode a GIF of one frame."""
    return _still(content, "GIF", "frames")


def webp(content: bytes) -> Contents:
    """Decode a WebP of one frame."""
    if len(content) < int.from_bytes(content[4:8], "little") + 8:
        raise truncated()
    return _still(content, "WEBP", "frames")


def avif(content: bytes) -> Contents:
    """Decode an AVIF with one picture, at its full depth."""
    image = header(content, ["AVIF"])
    check_single_picture(getattr(image, "n_frames", 1))
    metadata = metadata_of(image, with_xmp=False)  # only the file's own properties turn the picture
    start = content.find(b"av1C")
    flags = content[start + 6] if 0 <= start < len(content) - 6 else 0
    if not flags & 0x40:
        image.load()
        return Contents(image, metadata)
    check_memory(*image.size, deep_bytes(*image.size, 4, copies=2))
    return Contents(Samples(np.asarray(avif_decode(content)), 4095.0 if flags & 0x20 else 1023.0), metadata)


def _still(content: bytes, kind: str, noun: str) -> Contents:
    image = header(content, [kind])
    check_single_picture(2 if getattr(image, "is_animated", False) else 1, noun)
    metadata = metadata_of(image)
    image.load()
    return Contents(image, metadata)


def metadata_of(image: Image.Image, with_xmp: bool = True) -> Metadata:
    """Metadata that Pillow found in the file."""
    metadata = Metadata()
    xmp = image.info.get("xmp") if with_xmp else None
    metadata.read_orientation(image.info.get("exif"), xmp if isinstance(xmp, bytes) else None)
    if profile := image.info.get("icc_profile"):
        metadata.read_profile(profile)
    return metadata
