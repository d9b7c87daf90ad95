"""Cases of PDFs: the ways in which scanners and programs put a picture on a page."""

import zlib

import imagecodecs

from tests.inputs import builders, pdfs
from tests.inputs.bmp import packed
from tests.inputs.case import Case, refused, same
from tests.inputs.containers import CONTAINERS, Pixels, jpeg

CUT = refused("image_truncated", "image_corrupt")


def half(p: Pixels) -> bytes:
    return p[: len(p) // 2].tobytes()


def in_hex(data: bytes) -> bytes:
    return data.hex().encode() + b">"


PDF = [
    Case("a scan for a printer", lambda p: b"\x1b%-12345X@PJL JOB\r\n" + pdfs.on_page(p), same(), "scanner"),
    Case(
        "a scan in JPEG 2000", lambda p: pdfs.on_page(p, CONTAINERS["JPEG 2000"](p), b"/JPXDecode"), same(), "scanner"
    ),
    Case(
        "a scan whose JPEG 2000 is cut off",
        lambda p: pdfs.on_page(p, builders.truncated(CONTAINERS["JPEG 2000"](p)), b"/JPXDecode"),
        CUT,
        "transfer",
    ),
    Case("a scan in a form", pdfs.in_form, same(), "scanner"),
    Case("a scan in strips of JPEGs", pdfs.in_strips, same(), "scanner"),
    Case(
        "a scan with half of its rows",
        lambda p: pdfs.on_page(p, zlib.compress(p.tobytes()[: p.size // 2])),
        CUT,
        "transfer",
    ),
    Case(
        "a scan whose JPEG is cut off",
        lambda p: pdfs.on_page(p, builders.truncated(jpeg(p)), b"/DCTDecode"),
        CUT,
        "transfer",
    ),
    *[
        Case(
            f"a scan with half of its rows, {name}",
            lambda p, e=encode, w=way: pdfs.on_page(p, e(half(p)), w),
            CUT,
            "transfer",
        )
        for name, way, encode in (
            ("not encoded", b"[]", bytes),
            ("in hex", b"/ASCIIHexDecode", in_hex),
            ("LZW", b"/LZWDecode", imagecodecs.lzw_encode),
        )
    ],
    Case(
        "a scan whose JPEG in hex is cut off",
        lambda p: pdfs.on_page(p, in_hex(builders.truncated(jpeg(p))), b"[/ASCIIHexDecode /DCTDecode]"),
        CUT,
        "transfer",
    ),
    Case("a scan of 4 bits", lambda p: pdfs.on_page(p, zlib.compress(packed(p, 4)), bits=4), same(within=8), "scanner"),
    Case(
        "a scan of 4 bits with half of its rows",
        lambda p: pdfs.on_page(p, zlib.compress(packed(p, 4)[: len(p) // 2]), bits=4),
        CUT,
        "transfer",
    ),
    Case("a scan beside a logo of many pixels", pdfs.with_logo, same(), "scanner"),
    Case("two scans side by side", pdfs.two_pictures, refused("several_pictures"), "scanner"),
    Case(
        "a scan in a 12-bit JPEG",
        lambda p: pdfs.on_page(p, CONTAINERS["JPEG 12 bits"](p), b"/DCTDecode"),
        refused("encoding_not_supported"),
        "scanner",
    ),
    Case(
        "a scan with invalid JBIG2",
        lambda p: pdfs.on_page(p, b"junk", b"/JBIG2Decode", bits=1),
        refused("encoding_not_supported"),
        "scanner",
    ),
]
