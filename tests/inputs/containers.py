"""The same grey picture in many containers.

Each builder takes 8-bit pixels, ``(height, width)``, and returns a file with these pixels: exactly, or as closely
as the format's compression allows.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Builder = Callable[[Pixels], bytes]
ORIENTATION = 0x0112
#: Options that take a sixth of the usual time and make the files hardly larger.
QUICK_HEIC: dict[str, Any] = {"quality": 95, "enc_params": {"preset": "ultrafast"}}
#: For each orientation that a turned camera writes, how it stores the picture.
STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}  # fmt: skip


# --- building blocks ------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def deep(pixels: Pixels, bits: int = 12) -> NDArray[np.uint16]:
    """The same greys scaled to the whole range of ``bits``, in 16-bit integers."""
    return np.rint(pixels.astype(np.float64) * ((2**bits - 1) / 255)).astype(np.uint16)


def channels(values: NDArray[Any], mode: str) -> NDArray[Any]:
    """Grey values in the channels of ``L``, ``LA``, ``RGB`` or ``RGBA``, opaque."""
    white = np.full_like(values, np.iinfo(values.dtype).max)
    parts = [values] * (3 if "RGB" in mode else 1) + [white] * mode.endswith("A")
    return values if mode == "L" else np.stack(parts, axis=-1)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block.tobytes()


def xmp(orientation: int) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc if checksum is None else checksum)


def png(values: NDArray[Any], *before: bytes, mode: str = "L", after: bytes = b"") -> bytes:
    """A PNG of 8 or 16 bits, with these chunks before its pixels and after them."""
    colour = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}[mode]
    samples = np.ascontiguousarray(channels(values, mode))
    height, width = samples.shape[:2]
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8).reshape(height, -1)
    data = zlib.compress(np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes(), 1)
    head = struct.pack(">IIBBBBB", width, height, 8 * samples.dtype.itemsize, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", head), *before, chunk(b"IDAT", data), after, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def packed_png(pixels: Pixels, bits: int, *before: bytes) -> bytes:
    """A grey PNG of 1, 2 or 4 bits."""
    greys = np.rint(pixels / 255 * (2**bits - 1)).astype(np.uint8)
    height, width = greys.shape
    planes = np.unpackbits(greys[..., np.newaxis], axis=-1)[..., 8 - bits :].reshape(height, -1)
    rows = np.hstack([np.zeros((height, 1), np.uint8), np.packbits(planes, axis=1)])
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), *before, chunk(b"IDAT", zlib.compress(rows.tobytes())), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    big = options.pop("byteorder", "<")
    tifffile.imwrite(stream, values, byteorder=big, **{"photometric": "minisblack", "metadata": None, **options})
    return stream.getvalue()


def jpeg(pixels: Pixels, mode: str = "L", **options: Any) -> bytes:
    return encoded(Image.fromarray(pixels).convert(mode), "JPEG", **{"quality": 97, **options})


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def in_jpeg(content: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments after its first marker."""
    return content[:2] + b"".join(segments) + content[2:]


def pdf(pixels: Pixels, pages: int = 1, **options: Any) -> bytes:
    image = Image.fromarray(pixels)
    return encoded(image, "PDF", **{"resolution": 150, "quality": 97, "save_all": True,
                                    "append_images": [image] * (pages - 1), **options})  # fmt: skip


def heic(pixels: Pixels, **options: Any) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels).convert("RGB")).save(stream, chroma=444, **QUICK_HEIC, **options)
    return stream.getvalue()


def deep_heic(pixels: Pixels, mode: str = "RGB") -> bytes:
    """An HEIC of 10 bits: ``RGB``, or ``I`` for greys."""
    height, width = pixels.shape
    values = np.ascontiguousarray(channels(deep(pixels, 16), "RGB" if mode == "RGB" else "L"))
    stream = io.BytesIO()
    pillow_heif.from_bytes(f"{mode};16", (width, height), values.tobytes()).save(stream, chroma=444, **QUICK_HEIC)
    return stream.getvalue()


def grey_heic(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, **QUICK_HEIC)
    return stream.getvalue()


# --- the containers -------------------------------------------------------------------------------------------------

#: Containers that keep every pixel, at 8 bits or more.
EXACT: dict[str, Builder] = {
    "PNG": png,
    **{f"PNG {mode}": lambda p, mode=mode: png(p, mode=mode) for mode in ("LA", "RGB", "RGBA")},
    "PNG of a palette": lambda p: encoded(Image.fromarray(p).convert("P"), "PNG"),
    **{f"PNG 16 bits {mode}": lambda p, mode=mode: png(p.astype(np.uint16) * 257, mode=mode)
       for mode in ("L", "LA", "RGB", "RGBA")},
    **{f"PNG {bits} bits in 16 {mode}": lambda p, mode=mode, bits=bits: png(deep(p, bits), mode=mode)
       for mode in ("L", "LA", "RGB", "RGBA") for bits in (10, 12, 14)},
    "PNG interlaced": lambda p: interlaced_png(p),
    "TIFF": tiff,
    **{f"TIFF {way}": lambda p, way=way: tiff(p, compression=way)
       for way in ("lzw", "deflate", "packbits", "zstd", "lzma")},
    "TIFF lzw predictor": lambda p: tiff(p, compression="lzw", predictor=2),
    "TIFF tiled": lambda p: tiff(p, tile=(64, 64)),
    "TIFF big-endian": lambda p: tiff(p, byteorder=">"),
    "TIFF white is zero": lambda p: tiff(255 - p, photometric="miniswhite"),
    "TIFF RGB": lambda p: tiff(channels(p, "RGB"), photometric="rgb"),
    "TIFF RGB planar": lambda p: tiff(np.stack([p] * 3), photometric="rgb", planarconfig="separate"),
    "TIFF RGBA": lambda p: tiff(channels(p, "RGBA"), photometric="rgb", extrasamples=["unassalpha"]),
    "TIFF of a palette": lambda p: encoded(Image.fromarray(p).convert("P"), "TIFF"),
    "TIFF bigtiff": lambda p: tiff(p, bigtiff=True),
    **{f"TIFF {bits} bits in 16": lambda p, bits=bits: tiff(deep(p, bits)) for bits in (10, 12, 14, 16)},
    "TIFF 16 bits big-endian": lambda p: tiff(deep(p, 12), byteorder=">", compression="lzw", predictor=2),
    "TIFF 16 bits white is zero": lambda p: tiff(65535 - deep(p, 16), photometric="miniswhite"),
    "TIFF 12 bits in 16 white is zero": lambda p: tiff(4095 - deep(p, 12), photometric="miniswhite"),
    "TIFF 16 bits signed": lambda p: tiff(deep(p, 12).astype(np.int16) - 1024),
    "TIFF 16 bits RGB": lambda p: tiff(channels(deep(p, 12), "RGB"), photometric="rgb"),
    "TIFF 16 bits RGB planar": lambda p: tiff(np.stack([deep(p, 12)] * 3), photometric="rgb", planarconfig="separate"),
    "TIFF 32 bits": lambda p: tiff(p.astype(np.uint32) << 16),
    "TIFF float": lambda p: tiff(p.astype(np.float32) / 255),
    "TIFF float predictor": lambda p: tiff(p.astype(np.float32) * 16 - 1000, compression="deflate", predictor=3),
    "TIFF double": lambda p: tiff(p.astype(np.float64)),
    "BMP": lambda p: encoded(Image.fromarray(p), "BMP"),
    "BMP RGB": lambda p: encoded(Image.fromarray(p).convert("RGB"), "BMP"),
    "BMP top-down": lambda p: top_down(encoded(Image.fromarray(p[::-1]).convert("RGB"), "BMP")),
    "GIF": lambda p: encoded(Image.fromarray(p), "GIF"),
    "WebP lossless": lambda p: encoded(Image.fromarray(p).convert("RGB"), "WEBP", lossless=True, method=0),
    "JPEG lossless": lambda p: imagecodecs.jpeg8_encode(p, lossless=True),
    "JPEG lossless 12 bits": lambda p: imagecodecs.jpeg8_encode(deep(p), lossless=True, bitspersample=12),
    "JPEG lossless 16 bits": lambda p: imagecodecs.jpeg8_encode(deep(p, 16), lossless=True, bitspersample=16),
    "JPEG-LS": lambda p: imagecodecs.jpegls_encode(p),
    "JPEG-LS 12 bits": lambda p: imagecodecs.jpegls_encode(deep(p)),
    "JPEG 2000": lambda p: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="jp2"),
    "JPEG 2000 bare": lambda p: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="j2k"),
    "JPEG 2000 12 bits": lambda p: imagecodecs.jpeg2k_encode(
        deep(p), level=0, reversible=True, codecformat="jp2", bitspersample=12),
    "JPEG 2000 16 bits": lambda p: imagecodecs.jpeg2k_encode(deep(p, 16), level=0, reversible=True, codecformat="jp2"),
    "JPEG 2000 signed": lambda p: imagecodecs.jpeg2k_encode(
        deep(p).astype(np.int16) - 2048, level=0, reversible=True, codecformat="jp2"),
}  # fmt: skip

#: Containers that change pixels a little.
LOSSY: dict[str, Builder] = {
    "JPEG": jpeg,
    "JPEG RGB": lambda p: jpeg(p, "RGB"),
    "JPEG progressive": lambda p: jpeg(p, progressive=True),
    "JPEG CMYK": lambda p: jpeg(p, "CMYK"),
    "JPEG 12 bits": lambda p: imagecodecs.jpeg8_encode(deep(p), level=97, bitspersample=12),
    "WebP": lambda p: encoded(Image.fromarray(p).convert("RGB"), "WEBP", quality=97),
    "AVIF": lambda p: encoded(Image.fromarray(p).convert("RGB"), "AVIF", quality=95, subsampling="4:4:4", speed=8),
    "AVIF 10 bits": lambda p: imagecodecs.avif_encode(
        channels(deep(p, 10), "RGB"), level=98, bitspersample=10, speed=8),
    "HEIC": heic,
    "HEIC grey": grey_heic,
    "HEIC 10 bits": deep_heic,
    "HEIC grey 10 bits": lambda p: deep_heic(p, "I"),
    "JPEG 2000 lossy": lambda p: encoded(Image.fromarray(p), "JPEG2000", quality_mode="dB", quality_layers=[50]),
    "TIFF JPEG": lambda p: tiff(p, compression="jpeg", compressionargs={"level": 97}),
    "TIFF JPEG RGB": lambda p: tiff(channels(p, "RGB"), photometric="rgb", compression="jpeg",
                                    compressionargs={"level": 97}),
    "PDF": pdf,
}  # fmt: skip

CONTAINERS = {**EXACT, **LOSSY}


#: First column and row of each pass of Adam7, and the steps to the next column and row.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced_png(pixels: Pixels) -> bytes:
    """A PNG in the seven passes of Adam7, each of which has pixels at regular distances."""
    height, width = pixels.shape
    data = b""
    for x, y, across, down in ADAM7:
        part = pixels[y::down, x::across]
        if part.size:
            data += np.hstack([np.zeros((len(part), 1), np.uint8), part]).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def top_down(content: bytes) -> bytes:
    """A BMP whose header declares the other row order."""
    (height,) = struct.unpack("<i", content[22:26])
    return content[:22] + struct.pack("<i", -height) + content[26:]
