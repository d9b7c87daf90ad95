"""Generated test files: pictures that look like a chest X-ray, and files that do not."""

import functools
import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image, ImageFilter


def xray(seed: int = 0, size: tuple[int, int] = (900, 700)) -> Image.Image:
    """A picture with the main shapes of a chest X-ray: body, two lung fields, ribs, spine, heart, noise.

    Args:
        seed: each seed gives another chest.
        size: width and height in pixels.

    Returns:
        An image of mode ``L``.
    """
    return _xray(seed, size).copy()


@functools.lru_cache(maxsize=64)  # many tests use the same picture
def _xray(seed: int, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width * 2 - 1, y / height * 2 - 1
    tilt = rng.uniform(-0.08, 0.08)
    x, y = x + tilt * y, y - tilt * x

    def blob(cx: float, cy: float, rx: float, ry: float, soft: float = 0.15) -> np.ndarray:
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return 1 / (1 + np.exp((distance - 1) / soft))

    width_factor = rng.uniform(0.9, 1.1)
    body = blob(0, 0.25, 0.95 * width_factor, 1.15, 0.06)
    lungs = blob(-0.42 * width_factor, 0, 0.33, 0.68, 0.1) + blob(0.42 * width_factor, 0, 0.32, 0.66, 0.1)
    spine = np.exp(-((x / 0.09) ** 2)) * (0.8 + 0.2 * np.cos(y * 40))
    heart = blob(0.14, 0.28, 0.33, 0.34, 0.12)
    ribs = 0.5 + 0.5 * np.cos((y + 0.35 * np.abs(x) ** 1.5) * rng.uniform(26, 32) + rng.uniform(0, 6))
    cloud = blob(rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 0.5), 0.3, 0.3, 0.4) * rng.uniform(0, 0.5)
    picture = 0.04 + body * (0.55 + 0.25 * spine + 0.25 * heart - 0.42 * lungs + 0.09 * ribs * lungs + 0.3 * cloud)
    picture = picture * rng.uniform(0.8, 1.1) + rng.normal(0, 0.02, picture.shape)
    pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.6))


@functools.lru_cache(maxsize=256)
def xray_jpeg(seed: int = 0, size: tuple[int, int] = (900, 700), quality: int = 90) -> bytes:
    return _encoded(xray(seed, size), "JPEG", quality=quality)


def xray_png(seed: int = 0, size: tuple[int, int] = (900, 700)) -> bytes:
    return _encoded(xray(seed, size), "PNG")


def empty() -> bytes:
    return b""


def text() -> bytes:
    return b"Patient has a cough since Monday.\n" * 20


def svg() -> bytes:
    return b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0"/></svg>'


def truncated_jpeg() -> bytes:
    whole = xray_jpeg(1)
    return whole[: len(whole) // 2]


def tiny_png() -> bytes:
    """A picture of one pixel."""
    return _encoded(Image.new("L", (1, 1)), "PNG")


#: For each mode: bits of a pixel, bit depth and colour type in a PNG.
PNG_KINDS = {"1": (1, 1, 0), "L": (8, 8, 0), "I;16": (16, 16, 0), "RGB": (24, 8, 2), "RGBA": (32, 8, 6)}


def bomb_png(side: int = 30_000, mode: str = "1") -> bytes:
    """A valid black PNG of ``side`` by ``side`` pixels in a thousandth of their size; ``side`` is a multiple of 100."""
    bits, depth, colour = PNG_KINDS[mode]
    row = 1 + (side * bits + 7) // 8
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    hundred = compressor.compress(bytes(100 * row)) + compressor.flush(zlib.Z_FULL_FLUSH)  # can be repeated
    adler = (side * row % 65521) << 16 | 1  # the checksum of that many zeros
    data = b"\x78\x01" + hundred * (side // 100) + compressor.flush() + struct.pack(">I", adler)
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def zip_of(files: dict[str, bytes]) -> bytes:
    """A ZIP with these files, in this order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _encoded(image: Image.Image, form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
