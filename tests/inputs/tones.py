"""Metadata that defines the meaning of grey values: profiles, and values that are proportional to light."""

import struct
import zlib

import numpy as np
from PIL import ImageCms

from tests.inputs.containers import Pixels, chunk


def profile(gamma: float) -> bytes:
    """A grey ICC profile with a tone curve of this gamma. A negative one gives an inverted curve (white is zero)."""
    if gamma > 0:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    else:
        values = [round(65535 * (1 - place / 255) ** -gamma) for place in range(256)]
        curve = b"curv" + bytes(4) + struct.pack(">I256H", 256, *values)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    parts, table, at = [], b"", 128 + 4 + 4 * 12
    for tag, data in ((b"desc", name), (b"cprt", text), (b"wtpt", white), (b"kTRC", curve)):
        table += tag + struct.pack(">II", at, len(data))
        data += bytes(-len(data) % 4)
        parts.append(data)
        at += len(data)
    head = struct.pack(">I4sI4s4s4s6H4s4s", at, b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ", 2026, 1, 1, 0, 0, 0,
                       b"acsp", b"APPL") + bytes(24) + struct.pack(">3i", 63190, 65536, 54061)  # fmt: skip
    return head.ljust(128, b"\0") + struct.pack(">I", 4) + table + b"".join(parts)


def linear(pixels: Pixels) -> Pixels:
    """Values that are proportional to light, which a display shows as these pixels."""
    return np.rint((pixels / 255) ** 2.2 * 255).astype(np.uint8)


def icc(content: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(content))


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
