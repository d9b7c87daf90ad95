"""Formats that Pillow reads: BMP, GIF, WebP, and JPEG 2000 and AVIF of 8 bits. Deeper kinds keep their depth."""

import struct
from collections.abc import Callable

import numpy as np
from imagecodecs import avif_decode, jpeg2k_decode
from PIL import Image

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import Contents, deep_bytes, header, one_picture, unsupported
from ml.pictures.limits import check_memory
from ml.pictures.metadata import Metadata

#: A JPEG 2000 codestream's start, and its first segment, which has the sizes.
SIZ = b"\xff\x4f\xff\x51"
SIGNED = 128


def bmp(content: bytes) -> Contents:
    """Decode a BMP. An alpha channel that is zero throughout is a byte that its writer left unused."""
    image = header(content, ["BMP"])
    image.load()
    if image.mode == "RGBA" and not image.getchannel("A").getbbox():
        image = image.convert("RGB")
    return Contents(image, _about(image))


def gif(content: bytes) -> Contents:
    """Decode a GIF of one frame."""
    return _still(content, "GIF", "frames")


def webp(content: bytes) -> Contents:
    """Decode a WebP of one frame."""
    return _still(content, "WEBP", "frames")


def avif(content: bytes) -> Contents:
    """Decode an AVIF of one picture, at its depth."""
    image = header(content, ["AVIF"])
    one_picture(getattr(image, "n_frames", 1))
    about = _about(image)
    place = content.find(b"av1C")
    flags = content[place + 6] if 0 <= place < len(content) - 6 else 0
    if not flags & 0x40:
        image.load()
        return Contents(image, about)
    check_memory(*image.size, deep_bytes(*image.size, 4, copies=2))
    return Contents(Samples(_deep(avif_decode, content), 4095.0 if flags & 0x20 else 1023.0), about)


def jpeg2000(content: bytes) -> Contents:
    """Decode a JPEG 2000, in its file format or bare, at its depth."""
    image = header(content, ["JPEG2000"])
    about = _about(image)
    depths = jpeg2000_depths(content)
    channels = len(depths)
    # 32 bits a sample are what its decoder works with.
    check_memory(*image.size, deep_bytes(*image.size, max(1, channels), sample=4, copies=2))
    if jpeg2000_bits(content) <= 8 and not any(depth & SIGNED for depth in depths):
        image.load()
        return Contents(image, about)
    if channels > 4 or len(set(depths)) > 1:
        raise unsupported("A JPEG 2000 with channels of these kinds")
    bits = jpeg2000_bits(content) - bool(depths[0] & SIGNED)
    return Contents(Samples(_deep(jpeg2k_decode, content), 2.0**bits - 1), about)


def jpeg2000_bits(content: bytes) -> int:
    """Bits a sample; 0 where there is no codestream."""
    return max((depth % SIGNED + 1 for depth in jpeg2000_depths(content)), default=0)


def jpeg2000_size(content: bytes) -> tuple[int, int]:
    """Width and height, as the codestream declares them; zeros where there is none."""
    place = content.find(SIZ)
    if place < 0 or len(content) < place + 42:
        return 0, 0
    right, bottom, left, top = struct.unpack_from(">4I", content, place + 8)
    return right - left, bottom - top


def jpeg2000_depths(content: bytes) -> bytes:
    """For each channel its bits less one, and :data:`SIGNED` where it has a sign."""
    place = content.find(SIZ)
    if place < 0 or len(content) < place + 42:
        return b""
    (channels,) = struct.unpack(">H", content[place + 40 : place + 42])
    return content[place + 42 : place + 42 + 3 * channels : 3]


def _still(content: bytes, form: str, what: str) -> Contents:
    image = header(content, [form])
    one_picture(2 if getattr(image, "is_animated", False) else 1, what)
    about = _about(image)
    image.load()
    return Contents(image, about)


def _about(image: Image.Image) -> Metadata:
    about = Metadata()
    xmp = image.info.get("xmp")
    about.read_orientation(image.info.get("exif"), xmp if isinstance(xmp, bytes) else None)
    if profile := image.info.get("icc_profile"):
        about.read_profile(profile)
    return about


def _deep(decode: Callable[[bytes], object], content: bytes) -> np.ndarray:
    return np.asarray(decode(content))
