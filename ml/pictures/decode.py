"""From an uploaded file to a greyscale image, or a clear error.

Every limit is checked on the header, before pixels are decoded: a few kilobytes of PNG can declare a billion pixels.
What is decoded is turned into greyscale strip by strip, so that memory holds the pixels once, and their greys.
"""

import io
import warnings
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.errors import ImageError

MIN_SIDE = 64
MAX_PIXELS = 100_000_000
#: What may be needed for an image's pixels and their greys: 53 million in colour, 89 million in 16-bit grey.
MAX_DECODED_BYTES = 256 * 2**20
#: Bytes that Pillow keeps a pixel in; those of all other modes are 4.
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
#: Pixels that are turned into greyscale at a time.
STRIP = 2_000_000
#: Of the copy that shows whether a picture has colours: what its longer side is near to, in pixels.
COLOUR_SIDE = 256
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
    _check_memory(image, stream)
    try:
        image.load()
        grey = _to_grey(image)
        # The camera's orientation is in it; colour tells a photograph from an X-ray's own file.
        grey.info = {**image.info, "colour": _small_in_colour(image)}
        ImageOps.exif_transpose(grey, in_place=True)
        return grey
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
    return Image.fromarray(_scaled(values, float(values.min()), float(values.max())))


def _check_memory(image: Image.Image, stream: BinaryIO) -> None:
    """Refuse what would take too much memory to decode. A large JPEG in colour is read as the grey that it holds.

    Raises:
        ImageError: with the code ``image_too_large``.
    """
    gathered = _gathered_bytes(image, stream) if image.format == "JPEG" else 0
    if image.format == "JPEG" and image.mode == "RGB" and _decoded_bytes(image) + gathered > MAX_DECODED_BYTES:
        image.draft("L", image.size)
    needed = _decoded_bytes(image) + gathered
    if needed > MAX_DECODED_BYTES:
        raise ImageError(
            "image_too_large",
            f"The image is {image.width}×{image.height} pixels, which take {needed // 2**20} MB to decode; at most "
            f"{MAX_DECODED_BYTES // 2**20} are given to an image. Please reduce it, or save it in 8-bit greyscale.",
        )


def _decoded_bytes(image: Image.Image) -> int:
    """What Pillow keeps the pixels and their greys in."""
    return image.width * image.height * (PIXEL_BYTES.get(image.mode, 4) + (image.mode != "L"))


def _gathered_bytes(image: Image.Image, stream: BinaryIO) -> int:
    """What a JPEG's decoder gathers before the first pixel where an image comes in several scans: 16 bits a value."""
    layers: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    # Pillow has read up to the end of the first scan's header: its marker, its length, how many components it has, 2
    # bytes for each of them, and 3 more.
    stream.seek(-8 - 2 * len(layers), io.SEEK_CUR)
    one_scan_of_all = b"\xff\xda\x00" + bytes([6 + 2 * len(layers), len(layers)])
    if not image.info.get("progressive") and stream.read(5) == one_scan_of_all:
        return 0
    sampling = [horizontal * vertical for _, horizontal, vertical, _ in layers] or [1]
    return 2 * image.width * image.height * sum(sampling) // max(sampling)


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow finds the extrema of some of these modes only.
        extrema = [(float(part.min()), float(part.max())) for _, part in _arrays(image)]
        low, high = min(low for low, _ in extrema), max(high for _, high in extrema)
        strips = ((top, Image.fromarray(_scaled(part, low, high))) for top, part in _arrays(image))
    elif image.has_transparency_data:
        strips = ((top, _over_black(part)) for top, part in _strips(image))
    else:
        return image.convert("L")
    grey = Image.new("L", image.size)
    for top, strip in strips:
        grey.paste(strip, (0, top))
    return grey


def _small_in_colour(image: Image.Image) -> Image.Image | None:
    """A small copy of mode ``RGB``; None for a grey picture."""
    if image.mode not in ("RGB", "RGBA", "CMYK", "YCbCr"):
        return None
    return image.reduce(max(1, max(image.size) // COLOUR_SIDE)).convert("RGB")


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Some rows at a time, each time with the number of the first."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _arrays(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    return ((top, np.asarray(strip, dtype=np.float32)) for top, strip in _strips(image))


def _scaled(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    return np.rint((values - low) * (255.0 / (high - low or 1.0))).astype(np.uint8)


def _over_black(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("L")


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
