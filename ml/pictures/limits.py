"""Limits on images.

Every limit is checked on a file's header, before pixels are decoded: a few kilobytes can declare a billion pixels.
"""

from ml.errors import ImageError

MIN_SIDE = 64
MAX_PIXELS = 100_000_000
#: Memory for an image's pixels and their greys: 53 million pixels in colour, 89 million in 16-bit grey.
MAX_DECODED_BYTES = 256 * 2**20


def check_size(width: int, height: int) -> None:
    """Refuse an image that is too large to decode or too small to read.

    Raises:
        ImageError: with the code ``image_too_large`` or ``image_too_small``.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(
            "image_too_large",
            f"The image is {width}×{height} pixels. At most {MAX_PIXELS // 1_000_000} million pixels are accepted; "
            "please reduce it.",
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "image_too_small",
            f"The image is {width}×{height} pixels; at least {MIN_SIDE}×{MIN_SIDE} are needed to read an X-ray.",
        )


def check_memory(width: int, height: int, needed: int) -> None:
    """Refuse an image that needs more memory to decode than an image may use.

    Args:
        width: in pixels.
        height: in pixels.
        needed: memory for decoding, in bytes.

    Raises:
        ImageError: with the code ``image_too_large``.
    """
    if needed > MAX_DECODED_BYTES:
        raise ImageError(
            "image_too_large",
            f"The image is {width}×{height} pixels, which take {needed // 2**20} MB to decode; at most "
            f"{MAX_DECODED_BYTES // 2**20} are allowed. Please reduce it, or save it in 8-bit greyscale.",
        )
