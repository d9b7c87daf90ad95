"""Cases of one format each: its unusual chunks and segments, its ways to be cut off, its rare variants."""

import base64
import io
import quopri
import struct
import tarfile

import imagecodecs
import numpy as np
from PIL import Image

from tests.inputs import builders
from tests.inputs.bmp import bmp, greys, packed
from tests.inputs.builders import repacked, with_stream
from tests.inputs.case import END, IGNORED, Case, refused, same
from tests.inputs.containers import (
    CONTAINERS,
    chunk,
    deep,
    encoded,
    in_jpeg,
    interlaced_png,
    jpeg,
    png,
    segment,
)
from tests.inputs.tones import linear, srgb

CUT = refused("image_truncated", "image_corrupt")
KEY = struct.pack(">H", 999)

PNG = [
    Case("a PNG's transparency too short", lambda p: png(p, chunk(b"tRNS", b"\0")), same(IGNORED)),
    Case(
        "a PNG's transparency with a wrong checksum", lambda p: png(p, chunk(b"tRNS", KEY, checksum=1)), same(IGNORED)
    ),
    Case("a PNG's transparency beside alpha", lambda p: png(p, chunk(b"tRNS", bytes(6)), mode="RGBA"), same(IGNORED)),
    Case(
        "a PNG's suggested palette with a wrong checksum",
        lambda p: png(p, chunk(b"PLTE", bytes(30), checksum=3), mode="RGB"),
        same(IGNORED),
    ),
    Case("a PNG's palette in deep grey", lambda p: png(deep(p), chunk(b"PLTE", bytes(30))), same()),
    Case(
        "a PNG with an unknown critical chunk",
        lambda p: png(p, chunk(b"PXLS", bytes(4))),
        refused("encoding_not_supported"),
    ),
    Case("a PNG for iPhones", lambda p: png(p, chunk(b"CgBI", bytes(4))), refused("encoding_not_supported"), "phone"),
    Case("a PNG with half of its rows", lambda p: repacked(png(p), 0.5), CUT, "transfer"),
    Case("an interlaced PNG without its last pass", lambda p: repacked(interlaced_png(p), 0.8), CUT, "transfer"),
    *[
        Case(f"{name} whose pixels have {wrong}", lambda p, b=build, e=end: with_stream(b(p), lambda d: d[:-4] + e),
             same(*warnings), "transfer")
        for name, build, wrong, end, warnings in (
            ("a PNG", png, "a wrong checksum", b"\1\2\3\4", (IGNORED,)),
            ("a 16-bit PNG", lambda p: png(deep(p, 16)), "a wrong checksum", b"\1\2\3\4", (IGNORED,)),
            ("an interlaced PNG", interlaced_png, "a wrong checksum", b"\1\2\3\4", (IGNORED,)),
            ("a 16-bit PNG", lambda p: png(deep(p, 16)), "no checksum", b"", (IGNORED,)),
        )
    ],
    Case("a PNG with half of its rows and a wrong checksum",
         lambda p: with_stream(repacked(png(p), 0.5), lambda d: d[:-4] + bytes(4)), CUT, "transfer"),
    Case("a PNG whose palette lacks colours", lambda p: builders.of_palette(p, 100), refused("image_corrupt")),
    Case("a PNG that declares linear light", lambda p: png(linear(p), chunk(b"cICP", b"\1\x08\0\1")), same(within=6),
         "renderer"),
    Case("a PNG of high dynamic range", lambda p: png(p, chunk(b"cICP", b"\x09\x10\0\1"), mode="RGB"),
         refused("encoding_not_supported"), "screen"),
    Case("a PNG whose last row is black", lambda p: png(np.vstack([p[:-1], np.zeros_like(p[:1])])), same()),
]  # fmt: skip

JPEG = [
    Case("a JPEG whose height comes last", builders.late_height, same(), "scanner"),
    Case(
        "a progressive JPEG with only its first scans, with an end",
        lambda p: builders.first_scans(jpeg(p, progressive=True)) + b"\xff\xd9",
        refused("image_truncated"),
        "transfer",
    ),
    Case(
        "a JPEG cut off, followed by another",
        lambda p: builders.truncated(jpeg(p)) + jpeg(255 - p),
        refused("image_truncated"),
        "camera",
    ),
    Case("a JPEG followed by another", lambda p: jpeg(p) + jpeg(255 - p), same(), "camera"),
    Case(
        "a JPEG's profile in pieces out of order",
        lambda p: in_jpeg(
            jpeg(p),
            segment(0xE2, b"ICC_PROFILE\0\2\2" + srgb()[200:]),
            segment(0xE2, b"ICC_PROFILE\0\1\2" + srgb()[:200]),
        ),
        same(),
    ),
    Case(
        "a 12-bit JPEG cut off, with an end",
        lambda p: builders.truncated(imagecodecs.jpeg8_encode(deep(p), level=97, bitspersample=12)) + b"\xff\xd9",
        refused("image_truncated"),
        "PACS",
    ),
    Case(
        "a CMYK JPEG cut off, with an end",
        lambda p: builders.truncated(jpeg(p, "CMYK")) + b"\xff\xd9",
        refused("image_truncated"),
        "transfer",
    ),
    Case("a JPEG with restart markers", builders.restarting_jpeg, same(), "camera"),
    Case(
        "a JPEG without one of its restart markers",
        lambda p: builders.restarting_jpeg(p, without=[1]),
        refused("image_corrupt"),
        "transfer",
    ),
    Case(
        "a JPEG without eight of its restart markers",
        lambda p: builders.restarting_jpeg(p, without=range(2, 10)),
        refused("image_corrupt"),
        "transfer",
    ),
    Case(
        "a JPEG that declares restart markers and has none",
        lambda p: in_jpeg(jpeg(p), segment(0xDD, b"\0\5")),
        refused("image_corrupt"),
        "transfer",
    ),
    Case("a JPEG of two components", builders.two_components, refused("encoding_not_supported"), "research"),
    Case(
        "JPEG lossless of 3 bits",
        lambda p: imagecodecs.jpeg8_encode(p >> 5, lossless=True, bitspersample=3),
        same(within=8),
        "PACS",
    ),
    Case("JPEG 2000 with a linear profile", builders.profiled_jpeg2000, same(within=6), "renderer"),
    Case("JPEG-LS without its end", lambda p: imagecodecs.jpegls_encode(p)[:-2], same(END), "PACS"),
    Case("an HTTP response with its headers", lambda p: b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + jpeg(p), same(), "web"),
]


BMP = [
    *[Case(f"BMP of {bits} bits", lambda p, b=bits: bmp(packed(p, b), p.shape, b, greys(2**b)), same(within=within),
           "Windows") for bits, within in ((1, 90), (4, 8))],
    Case("BMP of 16 bits", lambda p: bmp((p >> 3).astype("<u2") * 0x421, p.shape, 16), same(within=4), "Windows"),
    # A row ends with two bytes of padding.
    Case("BMP without its last pixel", lambda p: bmp(p, p.shape, 8, greys(256))[:-3], CUT, "transfer"),
    Case("BMP without its last padding", lambda p: bmp(p, p.shape, 8, greys(256))[:-2], same(), "transfer"),
    Case("BMP of 2 bits", lambda p: bmp(packed(p, 2), p.shape, 2, greys(4)), refused("encoding_not_supported")),
    Case("BMP that holds a JPEG", lambda p: bmp(np.frombuffer(jpeg(p), np.uint8)[np.newaxis], p.shape, 24, way=4),
         refused("encoding_not_supported")),
]  # fmt: skip


WEBP = [
    Case("a WebP without its last bytes", lambda p: encoded(Image.fromarray(p).convert("RGB"), "WEBP")[:-9],
         refused("image_truncated"), "transfer"),
]  # fmt: skip

GIF = [
    Case("a GIF without its end", lambda p: CONTAINERS["GIF"](p)[:-1], same(), "transfer"),
]


def tar_of(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


#: A picture inside a file of another kind is a part of that file. It is never read instead of it.
WITHIN = [
    Case("an audio file with its cover", lambda p: b"ID3\3\0\0\0\0\x20\0APIC\0\0" + jpeg(p), refused("not_an_image")),
    Case("Photoshop with a small copy", lambda p: b"8BPS\0\1" + bytes(60) + jpeg(p), refused("format_not_supported")),
    Case("an icon with a PNG", lambda p: encoded(Image.fromarray(p), "ICO", sizes=[(64, 64)]),
         refused("format_not_supported")),
    Case("a TAR of a JPEG", lambda p: tar_of(jpeg(p)),
         refused("archive_not_supported", "not_an_image")),
    Case("HDF5", lambda p: b"\x89HDF\r\n\x1a\n" + bytes(99), refused("format_not_supported"), "research"),
    Case("PGM in plain text", lambda p: b"P2\n2 2\n255\n1 2 3 4\n", refused("format_not_supported"), "research"),
]  # fmt: skip

AS_TEXT = [
    Case(f"a {name} as text, {how}", lambda p, b=build, c=change: c(b(p)), refused("format_not_supported"), "transfer")
    for name, build, how, change in (
        ("PNG", png, "with LF", lambda content: content.replace(b"\r\n", b"\n")),
        ("PNG", png, "with CR and LF", lambda content: content.replace(b"\n", b"\r\n")),
        ("PNG", png, "in UTF-8", lambda content: content.decode("latin-1").encode()),
        ("JPEG", jpeg, "in UTF-8", lambda content: content.decode("latin-1").encode()),
        *((name, build, "in base64", base64.b64encode) for name, build in (("PNG", png), ("JPEG", jpeg))),
        ("PNG", png, "in a data URL", lambda content: b"data:image/png;base64," + base64.b64encode(content)),
        ("PNG", png, "in quoted-printable", quopri.encodestring),
        ("JPEG", jpeg, "in hex", lambda content: content.hex().encode()),
        ("JPEG", jpeg, "with replacement characters", lambda content: content.decode(errors="replace").encode()),
    )
]

FORMATS = [*PNG, *JPEG, *BMP, *GIF, *WEBP, *WITHIN, *AS_TEXT]
