"""A reading's map, drawn to be laid over its image."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: A new number for each change of how a map is drawn: browsers keep what they have got under the old one.
DRAWING = 2
#: One colour whose opacity is the map, as `python -m ml predict --heatmaps` draws it.
COLOUR = (255, 96, 16)
#: The line around the strongest part: light, with a dark edge, so that it shows on lungs that are black or white.
LINE, EDGE = (255, 255, 255), (20, 24, 26)
#: The strongest part is what reaches this share of the strongest place.
STRONGEST = 0.7
#: About the longer side of a preview, over which the map is laid; see :mod:`worker.ingest.preparing`.
PREVIEW_SIDE = 1024


def png(values: bytes, width: int, height: int, region: Sequence[int] = ()) -> bytes:
    """Draw a map at the resolution of its image's preview.

    Args:
        values: of :class:`webapp.studies.models.Reading`: a square of bytes, row by row.
        width: of the uploaded image, in pixels.
        height: of the map in pixels.
        region: of :class:`webapp.studies.models.Reading`: the map's place in the picture.

    Returns:
        A PNG of mode ``RGBA``: one colour, whose alpha is the map, and a line around its strongest part.

    Raises:
        ValueError: where the values are no square.
    """
    # Late: few requests need it, and every process would start slower.
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
    # A smooth picture compresses well even so, in a third of the time.
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _outline(picture: "Image", alpha: "Image", strongest: int) -> None:
    """Draw a line along the edge of a map's strongest part, within it."""
    from PIL import ImageChops, ImageFilter

    if not strongest:
        return
    width = max(1, round(max(picture.size) / 340))
    rest = alpha.point([255 * (value < STRONGEST * strongest) for value in range(256)])
    if not (part := ImageChops.invert(rest).getbbox()):
        return
    # Only the part itself, with as much around it as the blur looks at: mostly a small piece of the picture.
    far = 2 * width
    left, top, right, bottom = part
    box = (max(0, left - far), max(0, top - far), min(alpha.width, right + far), min(alpha.height, bottom + far))
    rest = rest.crop(box)
    # Wherever a blur of the rest has left anything: a tenth of the time of a maximum filter.
    near, nearest = (rest.filter(ImageFilter.BoxBlur(by)).point([0] + [255] * 255) for by in (far, width))
    for colour, band in ((EDGE, ImageChops.subtract(near, nearest)), (LINE, ImageChops.subtract(nearest, rest))):
        picture.paste((*colour, 255), box, mask=band)
