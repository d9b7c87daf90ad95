"""PDF with one scanned page: reads the picture of the page at its own resolution."""

import math
import re
import zlib

import pypdfium2
from pypdfium2 import raw

from ml.errors import ImageError
from ml.pictures.formats import jpeg, jpeg2000
from ml.pictures.formats.contents import Contents, check_single_picture, truncated, unsupported
from ml.pictures.formats.inflating import pieces
from ml.pictures.limits import check_memory, check_size

#: Least share of a scanned page that pictures cover.
SCANNED = 0.5
#: Bits per sample in a picture's dictionary, which is never compressed. PDFium reads at most 8 bits.
BITS = re.compile(rb"/BitsPerComponent\s+(\d+)\b")
#: Filters with picture decoders of their own. PDFium undoes all other filters before these.
DCT, JPX = "DCTDecode", "JPXDecode"
#: Bytes of a stored and of a drawn pixel together.
PIXEL_BYTES = 8
#: Least size of a picture that counts, as a share of the largest one, and least width of a gap, as a share of the
#: widest one's width.
LARGE, GAP = 0.5, 0.002
#: A rectangle: left, bottom, right and top.
Box = tuple[float, float, float, float]


def read(content: bytes) -> Contents:
    """Draw the picture of the page at its own resolution, pixel by pixel.

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
        check_single_picture(len(document), "pages")
        depths = {int(bits) for bits in BITS.findall(content)}
        if 16 in depths:
            raise unsupported("A PDF with a picture of 16 bits")
        if not len(document):
            raise _without_picture()
        return _page(document, min(depths, default=8))
    finally:
        document.close()


def _page(document: pypdfium2.PdfDocument, least_depth: int) -> Contents:
    page = document[0]
    images = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=5))
    boxes = [_bounds(image) for image in images]
    left, bottom, right, top = page.get_bbox()
    if sum(_area(box) for box in boxes) < SCANNED * _area((left, bottom, right, top)):
        raise _without_picture()
    check_single_picture(1 + _are_apart(boxes))
    # Use the scale of the largest picture: a logo beside the scan may have a far higher resolution.
    scale = max(zip(map(_area, boxes), map(_scale, images, boxes), strict=True))[1]
    stored = [_stored(image, least_depth) for image in images]
    # A scan may lie on a larger page. Crop the page to its pictures.
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
    for data in stored:
        _check_data(*data)
    picture = page.render(scale=scale, draw_annots=False, may_draw_forms=False).to_pil().convert("RGB")
    if all(low == high for low, high in picture.getextrema()):  # PDFium leaves out pictures that it cannot decode
        raise unsupported("A PDF with a picture of this kind")
    return Contents(picture)


def _bounds(image: pypdfium2.PdfImage) -> Box:
    """Place of a picture on the page. Many programs put pictures into forms, which have their own coordinates."""
    box: Box = image.get_bounds()
    container = image.container
    while container is not None:
        box, container = container.get_matrix().on_rect(*box), container.container
    return box


def _area(box: Box) -> float:
    left, bottom, right, top = box
    return max(0.0, right - left) * max(0.0, top - bottom)


def _are_apart(boxes: list[Box]) -> bool:
    """Whether large pictures lie apart, as two scans do. Strips of one scan touch."""
    least = LARGE * max(map(_area, boxes))
    remaining = [box for box in boxes if _area(box) >= least]
    whole, gap = remaining.pop(), GAP * max(box[2] - box[0] for box in boxes)
    while near := [box for box in remaining if _touch(whole, box, gap)]:
        remaining = [box for box in remaining if box not in near]
        sides = list(zip(whole, *near, strict=True))
        whole = min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3])
    return bool(remaining)


def _touch(a: Box, b: Box, gap: float) -> bool:
    across, down = max(a[0], b[0]) - min(a[2], b[2]), max(a[1], b[1]) - min(a[3], b[3])
    return across <= gap and down <= gap


def _scale(image: pypdfium2.PdfImage, box: tuple[float, float, float, float]) -> float:
    """Pixels of a picture per unit of the page. The picture may be turned on the page."""
    columns, rows = image.get_px_size()
    check_memory(columns, rows, columns * rows * PIXEL_BYTES)
    if JPX in image.get_filters() and jpeg2000.bits(bytes(image.get_data())) > 8:
        raise unsupported("A PDF with a JPEG 2000 of more than 8 bits")
    left, bottom, right, top = box
    # Slightly less, so that rounding adds no row.
    return max(columns, rows) / max(right - left, top - bottom, 1e-6) * (1 - 1e-6)


def _stored(image: pypdfium2.PdfImage, least_depth: int) -> tuple[list[str], bytes, int]:
    """Return the filters of a picture, its stored bytes, and the least number of bytes that its pixels need.

    PDFium gives the bits of decoded pixels, which are 8 even if fewer are stored.
    """
    columns, rows = image.get_px_size()
    bits = image.get_metadata().bits_per_pixel
    needed = -(-columns * (bits * least_depth // 8 if bits >= 8 else bits) // 8) * rows
    filters = image.get_filters()
    if filters == ["FlateDecode"]:  # decompressed data may be far larger than the pixels
        return filters, bytes(image.get_data()), needed
    return image.get_filters(skip_simple=True), bytes(image.get_data(decode_simple=True)), needed


def _check_data(filters: list[str], data: bytes, needed: int) -> None:
    """Refuse a picture that was cut off, of which PDFium would silently draw a part."""
    if filters == [DCT] and jpeg.is_cut_off(data):
        raise truncated()
    if filters == [JPX]:
        jpeg2000.with_end(data)
    if not filters and len(data) < needed:
        raise truncated()
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
        "This PDF is not a scan: no picture fills its page. Please export the X-ray itself as DICOM or PNG.",
    )
