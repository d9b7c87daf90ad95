"""BMPs of every depth, built byte by byte because no library writes them."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.inputs.containers import Pixels


def greys(count: int) -> bytes:
    """A palette from black to white."""
    return b"".join(bytes([index * 255 // (count - 1)] * 3) + b"\0" for index in range(count))


def packed(pixels: Pixels, bits: int) -> NDArray[np.uint8]:
    """Indexes into the palette of :func:`greys`, several packed in a byte."""
    indexes = np.rint(pixels / 255 * (2**bits - 1)).astype(np.uint8)
    planes = np.unpackbits(indexes[..., np.newaxis], axis=-1)[..., 8 - bits :]
    return np.packbits(planes.reshape(len(pixels), -1), axis=1)


def bmp(rows: NDArray[Any], shape: tuple[int, ...], bits: int, palette: bytes = b"", way: int = 0) -> bytes:
    """A BMP of rows from top to bottom.

    Args:
        rows: the samples as they are stored.
        shape: height and width in pixels.
        bits: per pixel.
        palette: four bytes for each colour.
        way: number of the compression method.
    """
    rows = np.ascontiguousarray(rows).view(np.uint8)[::-1]
    data = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    height, width = shape
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, way, len(data), 2835, 2835, len(palette) // 4, 0)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data
