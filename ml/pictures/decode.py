"""From an uploaded file to a greyscale image, or a clear error.

Every limit is checked on the header, before pixels are decoded: a few kilobytes of PNG can declare a billion pixels.
"""

import io
import warnings
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.errors import ImageError

MIN_SIDE = 64
MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG")
TRUNCATED_HINTS = ("truncated", "broken data stream", "premature end", "broken png", "unexpected end")


def open_image(source: bytes | BinaryIO) -> Image.Image:
    """Decode a JPEG or PNG into an 8-bit greyscale image.

    Orientation from EXIF is applied, transparency is laid over black, and 16-bit data is scaled to 8 bits between its
    own minimum and maximum.

    Args:
        source: the file's bytes, or a binary file positioned at its start.

    Returns:
        An image of mode ``L`` and any size within the limits.

    Raises:
        ImageError: with the code ``file_empty``, ``not_an_image``, ``image_too_small``, ``image_too_large``,
            ``image_truncated`` or ``image_corrupt``.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    if not stream.read(1):
        raise ImageError("file_empty", "The file is empty. Please choose the image again.")
    stream.seek(0)
    try:
        with warnings.catch_warnings():
            # The limit below is ours; Pillow's warning about large images would only add noise.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(
            "not_an_image", "This is not a JPEG or PNG image. Export the X-ray as one of these and try again."
        ) from None
    except Image.DecompressionBombError:
        raise _too_large() from None
    except (OSError, SyntaxError, ValueError) as error:
        raise _broken(error) from error
    check_size(*image.size)
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_grey(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise _broken(error) from error


def check_size(width: int, height: int) -> None:
    """Refuse what is too large to decode or too small to read.

    Raises:
        ImageError: with the code ``image_too_large`` or ``image_too_small``.
    """
    if width * height > MAX_PIXELS:
        raise _too_large(width, height)
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "image_too_small",
            f"The image is {width}×{height} pixels; at least {MIN_SIDE}×{MIN_SIDE} are needed to read an X-ray.",
        )


def to_eight_bits(values: NDArray[np.float32]) -> Image.Image:
    """``(height, width)`` of any range, scaled between its own minimum and maximum: mode ``L``."""
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(np.rint((values - low) * (255.0 / (high - low or 1.0))).astype(np.uint8))


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return to_eight_bits(np.asarray(image, dtype=np.float32))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return image.convert("L")


def _too_large(width: int = 0, height: int = 0) -> ImageError:
    size = f"The image is {width}×{height} pixels. " if width else ""
    return ImageError(
        "image_too_large", f"{size}At most {MAX_PIXELS // 1_000_000} million pixels are accepted; please reduce it."
    )


def _broken(error: Exception) -> ImageError:
    if any(hint in str(error).lower() for hint in TRUNCATED_HINTS):
        return ImageError(
            "image_truncated", "The file ends before the image does; it was probably cut off. Please upload it again."
        )
    return ImageError("image_corrupt", "The image data is damaged and cannot be decoded. Please export it again.")
