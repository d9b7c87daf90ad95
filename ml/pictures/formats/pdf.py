"""PDF with one scanned page: the page's picture, at its own resolution."""

import math
import re
import zlib

import pypdfium2
from pypdfium2 import raw

from ml.errors import ImageError
from ml.pictures.formats import jpeg, jpeg2000
from ml.pictures.formats.contents import Contents, one_picture, truncated, unsupported
from ml.pictures.formats.inflating import pieces
from ml.pictures.limits import check_memory, check_size

#: Share of the page that its pictures cover at least.
SCANNED = 0.5
#: PDFium reads no more than 8 bits. A picture's dictionary is never compressed, so that this is found.
DEEP = re.compile(rb"/BitsPerComponent\s+16\b")
#: Bytes of a pixel as it is stored and as it is drawn.
PIXEL_BYTES = 8


def read(content: bytes) -> Contents:
    """Draw the picture of a page, its pixels one to one.

    Raises:
        ImageError: ``pdf_encrypted``, ``pdf_without_picture``, ``several_pictures``, ``encoding_not_supported``,
            ``image_corrupt``, ``image_too_large`` or ``image_too_small``.
    """
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise ImageError(
                "pdf_encrypted", "This PDF is protected by a password. Please save it without, or send a PNG."
            ) from None
        raise ImageError("image_corrupt", "The PDF is damaged or cut off. Please export it again.") from error
    try:
        one_picture(len(document), "pages")
        if DEEP.search(content):
            raise unsupported("A PDF with a picture of 16 bits")
        if not len(document):
            raise _without_picture()
        return _page(document)
    finally:
        document.close()


def _page(document: pypdfium2.PdfDocument) -> Contents:
    page = document[0]
    images = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=5))
    boxes = [_bounds(image) for image in images]
    left, bottom, right, top = page.get_bbox()
    if sum(_area(box) for box in boxes) < SCANNED * _area((left, bottom, right, top)):
        raise _without_picture()
    scale, stored = max(map(_scale, images, boxes)), [_stored(image) for image in images]
    # A scan may lie on a larger page.
    box = (
        max(left, min(box[0] for box in boxes)), max(bottom, min(box[1] for box in boxes)),
        min(right, max(box[2] for box in boxes)), min(top, max(box[3] for box in boxes)),
    )  # fmt: skip
    page.set_cropbox(*box)
    page.close()
    page = document[0]
    width, height = (math.ceil(side * scale) for side in page.get_size())
    check_size(width, height)
    check_memory(width, height, width * height * PIXEL_BYTES)
    for one in stored:
        _check_data(*one)
    return Contents(page.render(scale=scale, draw_annots=False, may_draw_forms=False).to_pil().convert("RGB"))


def _bounds(image: pypdfium2.PdfImage) -> tuple[float, float, float, float]:
    """Where a picture lies on the page. One in a form, as many programs put it there, lies in the form's own space."""
    box: tuple[float, float, float, float] = image.get_bounds()
    container = image.container
    while container is not None:
        box, container = container.get_matrix().on_rect(*box), container.container
    return box


def _area(box: tuple[float, float, float, float]) -> float:
    left, bottom, right, top = box
    return max(0.0, right - left) * max(0.0, top - bottom)


def _scale(image: pypdfium2.PdfImage, box: tuple[float, float, float, float]) -> float:
    """Pixels for each of the page's units; a picture may lie turned on the page."""
    columns, rows = image.get_px_size()
    check_memory(columns, rows, columns * rows * PIXEL_BYTES)
    if "JPXDecode" in image.get_filters() and jpeg2000.bits(bytes(image.get_data())) > 8:
        raise unsupported("A PDF with a JPEG 2000 of more than 8 bits")
    left, bottom, right, top = box
    # A little less, so that no rounding adds a row.
    return max(columns, rows) / max(right - left, top - bottom, 1e-6) * (1 - 1e-6)


def _stored(image: pypdfium2.PdfImage) -> tuple[list[str], bytes, int]:
    """How a picture is stored, its bytes, and how many its pixels take."""
    columns, rows = image.get_px_size()
    return image.get_filters(), bytes(image.get_data()), -(-columns * image.get_metadata().bits_per_pixel // 8) * rows


def _check_data(filters: list[str], data: bytes, needed: int) -> None:
    """Refuse a picture that was cut off: PDFium draws a part of it, without a word."""
    if filters == ["DCTDecode"] and jpeg.is_cut_off(data):
        raise truncated()
    if filters == ["JPXDecode"]:
        jpeg2000.with_end(data)
    if filters == ["FlateDecode"]:
        size = 0
        for piece in pieces(data, zlib.decompressobj()):
            size += len(piece)
            if size >= needed:
                return
        raise truncated()


def _without_picture() -> ImageError:
    return ImageError(
        "pdf_without_picture",
        "This PDF is no scan: no picture fills its page. Please export the X-ray itself as DICOM or PNG.",
    )
