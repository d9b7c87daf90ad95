"""Cases of what pixels mean: their depth, tone, transparency and orientation."""

import struct

import imagecodecs
import numpy as np
from PIL import Image

from tests.inputs import builders, tiffs
from tests.inputs.case import IGNORED, Case, same
from tests.inputs.containers import (
    CONTAINERS,
    STORED,
    chunk,
    deep,
    encoded,
    exif,
    in_jpeg,
    jpeg,
    packed_png,
    png,
    segment,
    tiff,
    xmp,
)
from tests.inputs.tones import icc, linear, profile, srgb

KEY = "transparent"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def padded(values: np.ndarray) -> np.ndarray:
    """Set a corner to 0, as where a detector ends."""
    values[-60:, -60:] = 0
    return values


DEPTH = [
    Case("12 bits with a dead pixel", lambda p: png(builders.stray(deep(p), 65535)), same(), "modality"),
    Case(
        "12 bits with a dead pixel, RGB", lambda p: png(builders.stray(deep(p), 65535), mode="RGB"), same(), "modality"
    ),
    Case(
        "12 bits with a dead pixel, RGBA",
        lambda p: png(builders.stray(deep(p), 65535), mode="RGBA"),
        same(),
        "modality",
    ),
    Case("12 bits with a dead pixel, LA", lambda p: png(builders.stray(deep(p), 65535), mode="LA"), same(), "modality"),
    Case(
        "12 bits with a marker burnt in",
        lambda p: png(builders.stray(deep(p), 65535, p.size // 200)),
        same(within=6),
        "modality",
    ),
    Case(
        "12 bits with a large marker burnt in",
        lambda p: png(builders.stray(deep(p), 65535, p.size // 33)),
        same(within=12),
        "modality",
    ),
    Case(
        "12 bits with padding below and a marker above",
        lambda p: png(builders.stray(padded(deep(p) + np.uint16(30_000)), 65535, p.size // 50)),
        same(within=12),
        "modality",
    ),
    Case(
        "12 bits with dark dead pixels",
        lambda p: png(builders.stray(deep(p) + np.uint16(30000), 0, 16)),
        same(),
        "modality",
    ),
    Case("10 bits with a dead pixel, TIFF", lambda p: tiff(builders.stray(deep(p, 10), 65535)), same(), "modality"),
    Case("float with a dead pixel", lambda p: tiff(builders.stray(p.astype(np.float32), 2**30)), same(), "research"),
    Case(
        "float with NaN pixels",
        lambda p: tiff(np.where(p == p[0, 0], np.nan, p).astype(np.float32)),
        same(within=4),
        "research",
    ),
    Case(
        "signed with padding at -32768",
        lambda p: tiff(builders.stray(deep(p).astype(np.int16), -32768, 400)),
        same(),
        "PACS",
    ),
    Case("TIFF of 12 bits packed", tiffs.packed_tiff, same(), "PACS"),
    Case("DICOM's 12-bit JPEG", CONTAINERS["JPEG 12 bits"], same(), "PACS"),
    *[
        Case(f"grey PNG of {bits} bits", lambda p, bits=bits: packed_png(p, bits), same(within=within), "drawing")
        for bits, within in ((4, 8.0),)
    ],
]

MEANING = [
    Case(
        "linear gamma",
        lambda p: png(linear(p), chunk(b"gAMA", struct.pack(">I", 100_000))),
        same(within=6),
        "renderer",
    ),
    Case(
        "linear gamma, 16 bits",
        lambda p: png(np.rint((p / 255) ** 2.2 * 65535).astype(np.uint16), chunk(b"gAMA", struct.pack(">I", 100_000))),
        same(),
        "renderer",
    ),
    *[
        Case(f"a gamma of {gamma}", lambda p, g=gamma: png(p, chunk(b"gAMA", struct.pack(">I", g))), same(IGNORED))
        for gamma in (0, 1, 2**31 - 1)
    ],
    Case("a profile that leaves no greys", lambda p: png(p, icc(profile(60.0))), same(IGNORED)),
    Case("fully transparent", lambda p: encoded(builders.hidden(p), "PNG"), same(IGNORED), KEY),
    Case(
        "fully transparent, in colours",
        lambda p: encoded(builders.hidden(p).convert("RGBA"), "WEBP", lossless=True, exact=True),
        same(IGNORED),
        KEY,
    ),
    Case(
        "fully transparent, 16 bits",
        lambda p: imagecodecs.png_encode(np.dstack([deep(p, 16), np.zeros_like(deep(p))])),
        same(IGNORED),
        KEY,
    ),
    Case(
        "fully transparent, TIFF",
        lambda p: tiff(np.dstack([p, np.zeros_like(p)]), extrasamples=["unassalpha"]),
        same(IGNORED),
        KEY,
    ),
    Case("gamma of sRGB", lambda p: png(p, chunk(b"gAMA", struct.pack(">I", 45455))), same(), "export"),
    Case("gamma and sRGB", lambda p: png(p, chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100_000))), same()),
    Case("profile of sRGB", lambda p: png(p, icc(srgb())), same()),
    Case("profile of gamma 1.8", lambda p: png(p, icc(profile(1.8))), same()),
    Case("linear profile", lambda p: png(linear(p), icc(profile(1.0))), same(within=6), "renderer"),
    Case("inverted profile", lambda p: png(255 - p, icc(profile(-2.2))), same(within=6), "scanner"),
    Case(
        "one grey transparent",
        lambda p: png(np.where(p == 0, 1, builders.keyed(p)).astype(np.uint8), chunk(b"tRNS", struct.pack(">H", 1))),
        same(),
        KEY,
    ),
    Case(
        "one grey transparent, 16 bits",
        lambda p: png(
            np.where(p == 0, 1, deep(builders.keyed(p), 16)).astype(np.uint16), chunk(b"tRNS", struct.pack(">H", 1))
        ),
        same(),
        KEY,
    ),
    Case(
        "one colour transparent, 16 bits",
        lambda p: png(
            np.where(p == 0, 1, deep(builders.keyed(p), 16)).astype(np.uint16),
            chunk(b"tRNS", struct.pack(">3H", 1, 1, 1)),
            mode="RGB",
        ),
        same(),
        KEY,
    ),
    Case(
        "an absent grey transparent, 4 bits",
        lambda p: packed_png(np.minimum(p, 230), 4, chunk(b"tRNS", struct.pack(">H", 15))),
        same(within=12),
        KEY,
    ),
    Case(
        "alpha over black",
        lambda p: encoded(Image.merge("LA", (Image.new("L", p.shape[::-1], 255), Image.fromarray(p))), "PNG"),
        same(),
        KEY,
    ),
    Case("alpha over black, 16 bits", lambda p: builders.png_alpha(p), same(), KEY),
    Case(
        "palette with transparency",
        lambda p: encoded(Image.fromarray(p).convert("P"), "PNG", transparency=b"\xff" * 256),
        same(),
        KEY,
    ),
    Case("inverted palette", lambda p: builders.inverted_palette(p), same(), "scanner"),
    Case("BMP with an unused alpha byte", lambda p: builders.bmp_alpha(p), same(), "Windows"),
    Case(
        "TIFF of 1 bit, white is zero",
        lambda p: encoded(Image.fromarray(p).convert("1"), "TIFF", compression="group4"),
        same(within=60),
        "scanner",
    ),
]

ORIENTATION = [
    Case(
        "EXIF takes precedence over XMP",
        lambda p: in_jpeg(jpeg(p), segment(0xE1, exif(1)), segment(0xE1, XMP_HEAD + xmp(6))),
        same(),
        "editor",
    ),
    *[
        Case(
            f"EXIF orientation {way}",
            lambda p, way=way: builders.turned_jpeg(p, way, segment(0xE1, exif(way))),
            same(),
            "camera",
        )
        for way in range(1, 9)
    ],
    *[
        Case(
            f"XMP orientation {way}",
            lambda p, way=way: builders.turned_jpeg(p, way, segment(0xE1, XMP_HEAD + xmp(way))),
            same(),
            "editor",
        )
        for way in (3, 6, 8)
    ],
    *[
        Case(
            f"PNG's orientation {way}",
            lambda p, way=way: png(STORED[way](p), chunk(b"eXIf", exif(way)[6:])),
            same(),
            "editor",
        )
        for way in (3, 6)
    ],
    Case(
        "PNG's XMP orientation",
        lambda p: png(STORED[6](p), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))),
        same(),
        "editor",
    ),
    *[Case(f"WebP's orientation {way}", lambda p, way=way: builders.webp(p, way), same(), "phone") for way in (3, 6)],
    *[
        Case(
            f"TIFF's orientation {way}",
            lambda p, way=way: tiff(np.ascontiguousarray(STORED[way](p)), extratags=[(274, 3, 1, way, True)]),
            same(),
            "scanner",
        )
        for way in range(1, 9)
    ],
    Case(
        "a PDF page turned",
        lambda p: builders.scan_pdf(np.ascontiguousarray(np.rot90(p)), rotate=90),
        same(),
        "scanner",
    ),
]
