"""Convert the maps of readings to the form in which they are stored and shown, and overlay them on pictures."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: The single colour of the overlay, with the map as its opacity. A rainbow would show edges that the map does not have.
COLOUR = (255, 96, 16)
#: A map whose peak reaches this value is drawn at full strength; weaker maps look weaker. With the released VGG16,
#: X-rays of pneumonia reach 9 to 23, normal ones seldom more than 4.
STRONG = 8.0


def to_bytes(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale maps to bytes: the peak of each map is 255, unless all of its evidence is weak.

    Args:
        maps: ``(n, h, w)`` from a reading.

    Returns:
        ``(n, h, w)``.
    """
    peaks = np.maximum(maps.max(axis=(1, 2), keepdims=True), STRONG)
    return np.rint(255 * maps / peaks).astype(np.uint8)


def overlay(heatmap: NDArray[np.uint8], size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """An overlay that shows a map on its picture.

    Args:
        heatmap: ``(h, w)`` from :func:`to_bytes`.
        size: the picture's width and height in pixels.
        box: the position of the X-ray in the picture: left, top, right, bottom.

    Returns:
        An image of mode ``RGBA`` in one colour, with the map as its alpha channel.
    """
    left, top, right, bottom = box
    alpha = Image.new("L", size)
    alpha.paste(Image.fromarray(heatmap).resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))
    picture = Image.new("RGBA", size, COLOUR)
    picture.putalpha(alpha)
    return picture
