"""Scale and compress a picture as the query of a rendered resource says (PS3.18 8.3.5.1)."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import QueryDict

from webapp.refusals import Refused

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: Largest width and height of a viewport, and the quality if the query names none.
MOST_SIDE, USUAL_QUALITY = 4096, 90
LENGTH, DECIMAL = re.compile(r"[0-9]{1,4}"), re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Rendering:
    """How a picture is rendered.

    Attributes:
        viewport: the width and height that it must fit into; None for its own.
        corner: the left and top edge of the part that is shown, in pixels of the instance.
        lengths: its width and height. None reaches to the edge of the picture, and a negative one mirrors the part.
        quality: of the JPEG, from 1 to 100.
    """

    viewport: tuple[int, int] | None = None
    corner: tuple[float, float] = (0, 0)
    lengths: tuple[float | None, float | None] = (None, None)
    quality: int = USUAL_QUALITY


def parse(query: QueryDict) -> Rendering:
    """Parse the query of a rendered resource.

    Raises:
        Refused: ``unknown_parameter`` or ``invalid_parameter``.
    """
    if not set(query) <= {"quality", "viewport"}:
        # The preview already has the instance's own window, so no other "window" can be applied to it.
        raise Refused("unknown_parameter", "The parameters are 'quality' and 'viewport'.")
    if any(len(values) > 1 for _, values in query.lists()):
        raise Refused("invalid_parameter", "A parameter is given more than once.")
    quality = query.get("quality", str(USUAL_QUALITY))
    if not LENGTH.fullmatch(quality) or not 1 <= int(quality) <= 100:
        raise Refused("invalid_parameter", "quality is a whole number from 1 to 100.")
    viewport = query.get("viewport")
    return Rendering(quality=int(quality)) if viewport is None else _viewport(viewport, int(quality))


def _viewport(text: str, quality: int) -> Rendering:
    """Parse ``vw,vh,sx,sy,sw,sh``, of which the last four may be empty or omitted."""
    values = text.split(",")
    lengths, places = values[:2], values[2:] + [""] * (6 - len(values))
    sides = [int(length) for length in lengths if LENGTH.fullmatch(length)]
    if (
        not 2 <= len(values) <= 6
        or len(sides) != 2
        or not all(1 <= side <= MOST_SIDE for side in sides)
        or not all(not place or DECIMAL.fullmatch(place) for place in places)
    ):
        raise Refused(
            "invalid_parameter",
            f"viewport is vw,vh or vw,vh,sx,sy,sw,sh: a width and a height of 1 to {MOST_SIDE} pixels, and a region.",
        )
    left, top, width, height = (float(place) if place else None for place in places)
    return Rendering((sides[0], sides[1]), (left or 0, top or 0), (width, height), quality)


def jpeg(picture: "Picture", rendering: Rendering, source: tuple[int, int]) -> bytes:
    """Render a picture as a JPEG.

    Args:
        picture: the whole picture, of any size.
        rendering: how it is rendered.
        source: the width and height of the instance, in whose pixels regions are given.

    Raises:
        Refused: ``invalid_parameter`` if the region is outside the picture.
    """
    if rendering.viewport:
        picture = _fitted(picture, rendering.viewport, rendering, source)
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=rendering.quality)
    return output.getvalue()


def _fitted(picture: "Picture", viewport: tuple[int, int], part: Rendering, source: tuple[int, int]) -> "Picture":
    """Return the region, as large as fits into the viewport without being distorted."""
    from PIL.Image import Resampling
    from PIL.ImageOps import flip, mirror

    (left, top), (width, height) = part.corner, part.lengths
    across, down = _part(left, width, source[0]), _part(top, height, source[1])
    scale = min(viewport[0] / (across[1] - across[0]), viewport[1] / (down[1] - down[0]))
    size = (max(1, round((across[1] - across[0]) * scale)), max(1, round((down[1] - down[0]) * scale)))
    # The preview has fewer pixels than the instance.
    x, y = picture.width / source[0], picture.height / source[1]
    box = (across[0] * x, down[0] * y, across[1] * x, down[1] * y)
    fitted = picture.resize(size, Resampling.BICUBIC, box)
    if width is not None and width < 0:
        fitted = mirror(fitted)
    return flip(fitted) if height is not None and height < 0 else fitted


def _part(start: float, length: float | None, whole: int) -> tuple[float, float]:
    """Where a part of a side starts and ends, within the side."""
    end = whole if length is None else min(start + abs(length), whole)
    if not 0 <= start < end:
        raise Refused("invalid_parameter", "The region of the viewport is outside the picture.")
    return start, end
