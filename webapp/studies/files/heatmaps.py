"""Draw a reading's heatmap as an overlay for its image."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: Version of the drawing. Change it with each change to how a map is drawn, because browsers keep what they have cached
#: under the old number.
DRAWING = 2
#: The map's colour. Its opacity shows the map's values, as in `python -m ml predict --heatmaps`.
COLOUR = (255, 96, 16)
#: The line around the strongest part is light with a dark edge, so that it is visible on black and on white lungs.
LINE, EDGE = (255, 255, 255), (20, 24, 26)
#: The strongest part is where the values reach this share of the highest value.
STRONGEST = 0.7
#: Approximate length of the longer side of a preview, which the map overlays; see :mod:`worker.ingest.preparing`.
PREVIEW_SIDE = 1024


def png(values: bytes, width: int, height: int, region: Sequence[int] = ()) -> bytes:
    """Draw a map at the resolution of its image's preview.

    Args:
        values: the heatmap of a :class:`webapp.studies.models.Reading`: a square of bytes, row by row.
        width: the width of the uploaded image in pixels.
        height: the height of the uploaded image in pixels.
        region: the region of the :class:`webapp.studies.models.Reading`: the map's place in the picture.

    Returns:
        A PNG of mode ``RGBA``: one colour, whose alpha is the map, and a line around its strongest part.

    Raises:
        ValueError: the values are not a square.
    """
    # Imported here because few requests need it, and it would slow the start of every process.
    from PIL import Image

    side = math.isqrt(len(values))
    if not values or side * side != len(values):
        raise ValueError(f"a map of {len(values)} bytes is no square")
    factor = max(1, round(max(width, height) / PREVIEW_SIDE))
    size = (math.ceil(width / factor), math.ceil(height / factor))
    picture = Image.new("RGBA", size, COLOUR)
    left, top, right, bottom = (round(edge / factor) for edge in region or (0, 0, size[0] * factor, size[1] * factor))
    shape = (max(1, right - left), max(1, bottom - top))
    alpha = Image.new("L", size)
    alpha.paste(Image.frombytes("L", (side, side), values).resize(shape, Image.Resampling.BICUBIC), (left, top))
    picture.putalpha(alpha)
    _outline(picture, alpha, max(values))
    stream = io.BytesIO()
    # A smooth picture compresses well even at this level, in a third of the time.
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _outline(picture: "Image", alpha: "Image", strongest: int) -> None:
    """Draw a line inside the edge of a map's strongest part."""
    from PIL import ImageChops, ImageFilter

    if not strongest:
        return
    width = max(1, round(max(picture.size) / 340))
    rest = alpha.point([255 * (value < STRONGEST * strongest) for value in range(256)])
    if not (part := ImageChops.invert(rest).getbbox()):
        return
    # Crop to the strongest part and the margin that the blur reads: mostly a small piece of the picture.
    pad = 2 * width
    left, top, right, bottom = part
    box = (max(0, left - pad), max(0, top - pad), min(alpha.width, right + pad), min(alpha.height, bottom + pad))
    rest = rest.crop(box)
    # All places where a blur of the rest is not zero. This takes a tenth of the time of a maximum filter.
    near, nearest = (rest.filter(ImageFilter.BoxBlur(radius)).point([0] + [255] * 255) for radius in (pad, width))
    for colour, band in ((EDGE, ImageChops.subtract(near, nearest)), (LINE, ImageChops.subtract(nearest, rest))):
        picture.paste((*colour, 255), box, mask=band)
