"""PDFs of scans that are built in rarer ways than one picture on a page."""

import zlib

import numpy as np

from tests.inputs.builders import pdf_of
from tests.inputs.containers import Pixels, jpeg

PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R /Resources << /XObject << %s >> >> >>"


def stream(head: bytes, data: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n" % (head, len(data)) + data + b"\nendstream"


def picture(p: Pixels, data: bytes | None = None, compression: bytes = b"/FlateDecode", bits: int = 8) -> bytes:
    height, width = p.shape
    head = (
        b"/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent %d /Width %d /Height %d /Filter %s"
    )
    return stream(head % (bits, width, height, compression), zlib.compress(p.tobytes()) if data is None else data)


def on_page(p: Pixels, data: bytes | None = None, compression: bytes = b"/FlateDecode", bits: int = 8) -> bytes:
    """A picture on a page, optionally with other data in its place."""
    height, width = p.shape
    draw = b"q %d 0 0 %d 0 0 cm /Im0 Do Q" % (width, height)
    return pdf_of(PAGE % (width, height, b"/Im0 5 0 R"), stream(b"", draw), picture(p, data, compression, bits))


def with_logo(p: Pixels) -> bytes:
    """A picture with a small one of higher resolution in its corner."""
    height, width = p.shape
    draw = b"q %d 0 0 %d 0 0 cm /Im0 Do Q q 4 0 0 4 2 2 cm /Im1 Do Q" % (width, height)
    logo = picture(np.full((400, 400), p[-4, 4], np.uint8))
    return pdf_of(PAGE % (width, height, b"/Im0 5 0 R /Im1 6 0 R"), stream(b"", draw), picture(p), logo)


def two_pictures(p: Pixels) -> bytes:
    """Two pictures side by side."""
    height, width = p.shape
    draw = b"q %d 0 0 %d 0 0 cm /Im0 Do Q q %d 0 0 %d %d 0 cm /Im1 Do Q" % (width, height, width, height, width + 20)
    names = b"/Im0 5 0 R /Im1 6 0 R"
    return pdf_of(PAGE % (2 * width + 20, height, names), stream(b"", draw), picture(p), picture(p[:, ::-1]))


def in_form(p: Pixels) -> bytes:
    """A picture of size 1 in a form that is drawn at the page's size."""
    height, width = p.shape
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /Im0 5 0 R >> >>"
    return pdf_of(
        PAGE % (width, height, b"/Fm0 6 0 R"),
        stream(b"", b"q %d 0 0 %d 0 0 cm /Fm0 Do Q" % (width, height)),
        picture(p),
        stream(form, b"/Im0 Do"),
    )


def in_strips(p: Pixels, rows: int = 40) -> bytes:
    """A picture in strips, each a JPEG of its own, as multifunction printers write it."""
    height, width = p.shape
    strips = [p[top : top + rows] for top in range(0, height, rows)]
    names = b" ".join(b"/Im%d %d 0 R" % (number, 5 + number) for number in range(len(strips)))
    draw = b" ".join(
        b"q %d 0 0 %d 0 %d cm /Im%d Do Q" % (width, len(strip), height - number * rows - len(strip), number)
        for number, strip in enumerate(strips)
    )
    pictures = (picture(strip, jpeg(strip), b"/DCTDecode") for strip in strips)
    return pdf_of(PAGE % (width, height, names), stream(b"", draw), *pictures)
