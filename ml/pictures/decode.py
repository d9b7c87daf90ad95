"""Decode an uploaded file to a greyscale image, or raise a clear error."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from ml.errors import ImageError
from ml.pictures import dicom
from ml.pictures.depth import STRIP, Samples, to_grey
from ml.pictures.formats import heif, jpeg, jpeg2000, pdf, pillow, png, tiff
from ml.pictures.formats.contents import Contents, corrupt, truncated, unsupported
from ml.pictures.formats.kinds import kind, unsupported_format
from ml.pictures.metadata import EXIF

logger = logging.getLogger(__name__)

READERS: dict[str, Callable[[bytes], Contents]] = {
    "jpeg": jpeg.read,
    "png": png.read,
    "tiff": tiff.read,
    "bmp": pillow.bmp,
    "gif": pillow.gif,
    "webp": pillow.webp,
    "avif": pillow.avif,
    "jpeg2000": jpeg2000.read,
    "heic": heif.read,
    "pdf": pdf.read,
    "dicom": dicom.read,
}
#: Approximate longer side, in pixels, of the copy that is checked for colours.
COLOUR_SIDE = 256
OUT_OF_MEMORY = (
    "Decoding this image takes more memory than one image may use here. Please reduce it and upload it again."
)
UNSUPPORTED_HINTS = ("unsupported", "not supported", "not implemented")
TRUNCATED_HINTS = ("truncated", "premature end", "unexpected end", "end of file")
#: Detail for an alpha channel that is zero everywhere, as some programs write it.
HIDDEN = "a transparency that hides all of the picture"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        image: mode ``L``, upright, of any size within the limits. ``info["colour"]`` is a small copy of mode ``RGB``,
            or None for a grey picture. ``info["exif"]`` is the EXIF block, if the file has one.
        warnings: dictionaries ``{code, detail}``: ``metadata_ignored``, ``end_missing`` and ``not_frontal_chest``.
        browsers_show: whether a browser shows the file exactly as it was decoded.
    """

    image: Image.Image
    warnings: list[dict[str, str]] = field(default_factory=list)
    browsers_show: bool = False


def read(content: bytes) -> Decoded:
    """Decode a file of one of the formats of :data:`READERS` into an 8-bit greyscale image.

    Samples of more than 8 bits keep their depth until the range to show is known. A few pixels cannot set this range.
    The orientation is applied, transparency is laid over black, and a declared gamma or colour profile is applied if it
    changes the picture noticeably. Other metadata never decides whether a file can be read.

    Raises:
        ImageError: with the code ``file_empty``, ``not_an_image``, ``format_not_supported``, ``image_too_small``,
            ``image_too_large``, ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``,
            ``several_pictures``, ``pdf_encrypted``, ``pdf_without_picture``, ``dicom_without_pixels``,
            ``dicom_not_a_radiograph`` or ``out_of_memory``.
    """
    if not content:
        raise ImageError("file_empty", "The file is empty. Please choose the image again.")
    reader = READERS.get("dicom" if dicom.is_dicom(content) else kind(content) or "")
    if reader is None and (name := unsupported_format(content)):
        raise ImageError("format_not_supported", f"{name} is not supported. Please export a PNG or TIFF.")
    if reader is None:
        raise ImageError(
            "not_an_image", "This is not an image that can be read. Please export the X-ray as JPEG, PNG or TIFF."
        )
    try:
        contents = reader(content)
        image = _upright(_grey(contents), contents.metadata.orientation)
        # Colour and a camera's tags distinguish a photograph from an X-ray's own file.
        image.info = {"colour": _small_in_colour(contents.pixels)}
        if contents.metadata.exif:
            image.info["exif"] = contents.metadata.exif
    except ImageError:
        raise
    except Exception as error:  # decoders raise any exception for a damaged file
        logger.info("a decoder failed", exc_info=True)
        raise _error_for(error) from error
    notes = list(contents.notes)
    if contents.metadata.ignored:
        detail = f"Damaged beside the pixels, and ignored: {', '.join(contents.metadata.ignored)}."
        if EXIF in contents.metadata.ignored:
            detail += " Check that the picture is the right way up."
        notes.append({"code": "metadata_ignored", "detail": detail})
    return Decoded(image, notes, contents.browsers_show)


def open_image(content: bytes) -> Image.Image:
    """Return only the image that :func:`read` decodes.

    Raises:
        ImageError: as :func:`read`.
    """
    return read(content).image


def _grey(contents: Contents) -> Image.Image:
    tone = contents.metadata.tone
    image = contents.pixels
    if isinstance(image, Samples):
        if image.is_hidden():
            contents.metadata.ignore(HIDDEN)
            image = replace(image, values=image.values[..., :-1])
        return to_grey(image, tone)
    if image.mode.startswith("I") or image.mode == "F":
        return to_grey(Samples(np.asarray(image), 65535.0), tone)
    # Never hold two full grey copies: a large picture may need all available memory.
    if image.has_transparency_data and any(_over_black(strip).getbbox() for _, strip in _strips(image)):
        grey = Image.new("L", image.size)
        for top, strip in _strips(image):
            grey.paste(_over_black(strip), (0, top))
    else:
        grey = image.convert("L")
        if image.has_transparency_data and grey.getbbox():
            contents.metadata.ignore(HIDDEN)
    if tone is None:
        return grey
    output = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(tone)), tone)
    return grey.point(np.rint(output * 255).astype(int).tolist())


def _small_in_colour(pixels: Image.Image | Samples) -> Image.Image | None:
    """Return a small copy of mode ``RGB``, or None for a grey picture."""
    if isinstance(pixels, Samples):
        if pixels.values.ndim < 3 or pixels.values.shape[2] < 3:
            return None
        step = max(1, max(pixels.values.shape[:2]) // COLOUR_SIDE)
        colours = pixels.values[::step, ::step, :3].astype(np.float32) / pixels.white
        return Image.fromarray(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8))
    factor = max(1, max(pixels.size) // COLOUR_SIDE)
    if pixels.mode in ("RGB", "CMYK", "YCbCr"):
        return pixels.reduce(factor).convert("RGB")
    if pixels.mode in ("RGBA", "P"):  # averaging would need a full copy of these modes
        size = max(1, pixels.width // factor), max(1, pixels.height // factor)
        return pixels.resize(size, Image.Resampling.NEAREST).convert("RGBA").convert("RGB")
    return None


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield strips of rows, each with the index of its first row."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _over_black(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("L")


def _error_for(error: Exception) -> ImageError:
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return ImageError("out_of_memory", OUT_OF_MEMORY)
    if any(hint in str(error).lower() for hint in UNSUPPORTED_HINTS):
        return unsupported("A picture that is stored in this way")
    cut = isinstance(error, EOFError) or any(hint in str(error).lower() for hint in TRUNCATED_HINTS)
    return truncated() if cut else corrupt()
