"""TIFF from scanners and workstations, with any depth, byte order, compression and arrangement of the samples."""

import io
import logging
from itertools import islice
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from ml.pictures.depth import Samples
from ml.pictures.formats import jpeg, jpeg_file
from ml.pictures.formats.contents import Contents, check_single_picture, corrupt, header, truncated, unsupported
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

# Do not log decoder errors: they are reported as error codes.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
#: Codecs are normally loaded on first use. Those of tifffile are loaded now: a process that decodes a hostile file may
#: have no memory left for loading them.
CODECS = (
    "lzw", "packbits", "packints", "delta", "floatpred", "bitorder", "zlib", "deflate", "lzma", "zstd", "ccittrle",
    "ccittfax3", "ccittfax4", "jpeg", "jpeg8", "ljpeg", "jpeg2k", "webp",
)  # fmt: skip
for _codec in CODECS:
    getattr(imagecodecs, f"{_codec}_decode")
#: NewSubfileType flags of pages that are not pictures of their own: a smaller copy, a mask.
COPY_OR_MASK = 1 | 4
GREY = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)
FAX = (COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6)
#: Bytes of a file's header, which contains no pixels.
HEADER = 8
#: Largest number of pages that are examined.
MAX_PAGES = 64
#: NumPy kinds that are read: bits, unsigned and signed integers, floating point.
KINDS = "buif"


def read(content: bytes) -> Contents:
    """Decode a TIFF with one picture.

    Raises:
        ImageError: ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``, ``several_pictures``,
            ``image_too_large`` or ``image_too_small``.
    """
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = _page(file)
        check_size(page.imagewidth, page.imagelength)
        metadata = _metadata(page)
        _check_data(page, content)
        # Pillow's TIFF decoder handles CMYK and YCbCr best.
        if _photometric(page) not in (*GREY, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE) and not _decodes_to_rgb(page):
            return Contents(_by_pillow(content), metadata)
        check_memory(page.imagewidth, page.imagelength, 2 * page.nbytes + page.imagewidth * page.imagelength)
        try:
            tifffile.TIFF.DECOMPRESSORS[page.compression]
        except KeyError as error:  # asarray() raises ValueError here, as it does for damaged data
            raise unsupported(f"A TIFF compressed as {_name(page.compression)}") from error
        values = page.asarray(maxworkers=1)
    return Contents(_pixels(page, _channels_last(page, values)), metadata)


def _page(file: tifffile.TiffFile) -> TiffPage:
    # By offset, since a damaged list of pages may be circular.
    by_offset = {page.offset: page for page in islice(file.pages, MAX_PAGES) if isinstance(page, TiffPage)}
    if not by_offset:
        raise truncated()
    pages = [page for page in by_offset.values() if not int(page.subfiletype) & COPY_OR_MASK]
    if not pages:  # only copies and masks of a picture that lies elsewhere
        raise unsupported("A TIFF without a picture of its own, such as a camera's raw file,")
    check_single_picture(len(pages), "pages")
    page = pages[0]
    # A tag may hold a list. Multiplying a list by a size repeats it and fills the memory.
    if not all(isinstance(size, int) for size in (page.imagewidth, page.imagelength, page.samplesperpixel)):
        raise corrupt()
    check_single_picture(int(page.imagedepth), "pages")
    if page.dtype is None or page.dtype.kind not in KINDS or (page.bitspersample <= 8 and page.dtype.kind in "if"):
        raise unsupported("A TIFF with samples of this kind")
    return page


def _check_data(page: TiffPage, content: bytes) -> None:
    """Check that all strips or tiles are in the file."""
    if not page.dataoffsets or len(page.dataoffsets) != len(page.databytecounts) or min(page.dataoffsets) < HEADER:
        raise corrupt()
    parts = [slice(start, start + count) for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if any(part.stop > len(content) for part in parts):
        raise truncated()
    # The decoder shows missing pixels of a JPEG in grey.
    if page.compression == COMPRESSION.JPEG and any(_lacks_pixels(page, content[part]) for part in parts):
        raise truncated()


def _lacks_pixels(page: TiffPage, data: bytes) -> bool:
    tables = page.jpegtables or jpeg_file.SOI
    ends = data.rstrip(b"\0").endswith(jpeg_file.EOI)
    return not ends and jpeg.is_cut_off(tables.removesuffix(jpeg_file.EOI) + data.removeprefix(jpeg_file.SOI))


def _metadata(page: TiffPage) -> Metadata:
    metadata = Metadata()
    orientation, xmp = _tag(page, "Orientation"), _tag(page, "XMP")
    if isinstance(orientation, int) and 1 <= orientation <= 8:
        metadata.orientation = int(orientation)
    elif isinstance(xmp, bytes):
        metadata.read_orientation(None, xmp)
    profile = _tag(page, "InterColorProfile")
    if isinstance(profile, bytes):
        metadata.read_profile(profile)
    return metadata


def _tag(page: TiffPage, name: str) -> Any:
    tag = page.tags.get(name)
    return tag.value if tag else None


def _photometric(page: TiffPage) -> int:
    """Photometric interpretation of the samples; if the file does not declare one, the one that libtiff assumes."""
    if _tag(page, "PhotometricInterpretation") is not None:
        return int(page.photometric)
    if page.samplesperpixel >= 3:
        return PHOTOMETRIC.RGB
    return PHOTOMETRIC.MINISWHITE if page.compression in FAX else PHOTOMETRIC.MINISBLACK


def _decodes_to_rgb(page: TiffPage) -> bool:
    """Whether decoding gives RGB, which is the case for YCbCr in JPEG."""
    return page.photometric == PHOTOMETRIC.YCBCR and page.compression == COMPRESSION.JPEG


def _by_pillow(content: bytes) -> Image.Image:
    try:
        image = header(content, ["TIFF"])
    except UnidentifiedImageError:
        raise unsupported("A TIFF in these colours") from None
    size = image.size
    image.load()
    # Pillow applies the orientation, which this package does later for all formats.
    if image.size != size:
        raise unsupported("A turned TIFF in these colours")
    return image.getchannel("L") if image.mode == "LAB" else image


def _channels_last(page: TiffPage, values: NDArray[Any]) -> NDArray[Any]:
    """Reshape samples to ``(height, width)`` or ``(height, width, channels)``."""
    channels = page.samplesperpixel
    if values.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        values = np.moveaxis(values, 0, -1)
    height, width = page.imagelength, page.imagewidth
    return values.reshape(height, width) if channels == 1 else values.reshape(height, width, channels)


def _pixels(page: TiffPage, values: NDArray[Any]) -> Image.Image | Samples:
    photometric = _photometric(page)
    inverted = photometric == PHOTOMETRIC.MINISWHITE
    if photometric == PHOTOMETRIC.PALETTE:
        return Image.fromarray(_coloured(page, values))
    colours = 1 if photometric in GREY else 3
    if values.ndim == 3:
        # Keep only colours and unassociated alpha. With associated (premultiplied) alpha, the colours are over black
        # already, so the alpha is not needed.
        alpha = tuple(page.extrasamples[:1]) == (2,) and values.shape[2] > colours
        values = values[..., 0] if colours == 1 and not alpha else values[..., : colours + alpha]
    bits = page.bitspersample
    if bits > 8:
        return Samples(values, _white(values.dtype, bits), white_is_zero=inverted)
    if bits < 8:
        values = (values.astype(np.uint16) * 255 // (2**bits - 1)).astype(np.uint8)
    if inverted:
        values = values.copy()
        greys = values[..., 0] if values.ndim == 3 else values
        np.subtract(255, greys, out=greys)
    return Image.fromarray(np.ascontiguousarray(values))


def _white(kind: np.dtype[Any], bits: int) -> float:
    if kind.kind == "f":
        return 1.0
    return 2.0**bits - 1 if kind.kind == "u" else float(np.iinfo(kind).max)


def _coloured(page: TiffPage, values: NDArray[Any]) -> NDArray[np.uint8]:
    palette = page.colormap
    if palette is None or values.ndim != 2 or int(values.max()) >= palette.shape[1]:
        raise corrupt()
    # The standard has 16 bits; some programs write 8.
    colours = palette >> 8 if palette.max() > 255 else palette
    return np.ascontiguousarray(colours.astype(np.uint8).T[values])


def _name(compression: int) -> str:
    return COMPRESSION(compression).name if compression in set(COMPRESSION) else str(compression)
