"""Find an X-ray whose collimation, or film, is turned by a few degrees: no line of the picture is a border from end to
end, so that :mod:`ml.pictures.borders` finds none.

What lies outside is of one level and surrounds the X-ray. Its convex hull has straight sides then, which a body beside
air has not; where air hides a part of a side, the rest of it still lies on one line.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.pictures.borders import MIN_SIDE
from ml.pictures.screenshots import SMALLEST

#: The longer side, in pixels, at which a picture is searched at most.
SIDE = 1024
#: Grey levels that pixels outside differ by, and the share of the picture's edge that lies outside.
TOLERANCE, SURROUNDED = 12, 0.9
#: A part of the X-ray is no smaller than this share of the picture. Letters beside it are.
PART = 0.01
#: Degrees. Less is a border that is cut line by line; more than this nobody turns a collimator against a detector.
LEAST, MOST = 0.2, 10.0
#: How near to a side, in pixels, its points lie; the share of all four sides that has such points.
NEAR, OUTLINED = 1.5, 0.5
#: A side that gives the direction is no shorter than this share of the picture.
LONG = 0.1

Points = NDArray[np.float64]


def find(picture: Image.Image) -> NDArray[np.float32] | None:
    """The corners of an X-ray that is turned inside its picture.

    Args:
        picture: mode ``L``, any size.

    Returns:
        ``(4, 2)``: x and y in the picture's pixels; top left, top right, bottom right, bottom left. None without one.
    """
    factor = -(-max(picture.size) // SIDE)
    pixels = np.asarray(picture.reduce(factor) if factor > 1 else picture)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    level = int(np.median(edge))
    if np.mean(np.abs(edge - level) <= TOLERANCE) < SURROUNDED:
        return None
    outline = _outline(np.abs(pixels.astype(np.int16) - level) > TOLERANCE)
    if outline is None:
        return None
    degrees, share, (left, top), (right, bottom) = max(
        (_enclosed(outline, angle) for angle in _directions(outline, LONG * min(pixels.shape))),
        key=lambda found: found[1],
        default=(0.0, 0.0, np.zeros(2), np.zeros(2)),
    )
    width, height = right - left, bottom - top
    if share < OUTLINED or not LEAST <= abs(degrees) <= MOST:
        return None
    if min(width, height) * factor < MIN_SIDE or width * height < SMALLEST * pixels.size:
        return None
    # The outermost pixels are of both, the X-ray and what lies outside.
    corners = np.array([(left + 1, top + 1), (right, top + 1), (right, bottom), (left + 1, bottom)])
    return (corners @ _turn(degrees) * factor).astype(np.float32)


def _outline(inside: NDArray[np.bool_]) -> Points | None:
    """``(n, 2)``: the points around all larger parts."""
    count, parts, about, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    large = [part for part in range(1, count) if about[part, cv2.CC_STAT_AREA] >= PART * inside.size]
    shapes, _ = cv2.findContours(np.isin(parts, large).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.concatenate(shapes).reshape(-1, 2).astype(float) if shapes else None


def _directions(outline: Points, length: float) -> set[float]:
    """Degrees by which the long sides of the convex hull lean from the picture's own."""
    hull = cv2.convexHull(outline.astype(np.float32)).reshape(-1, 2)
    sides = np.roll(hull, -1, axis=0) - hull
    return {
        float((np.degrees(np.arctan2(down, across)) + 45) % 90 - 45)
        for across, down in sides
        if np.hypot(across, down) >= length
    }


def _turn(degrees: float) -> Points:
    """What turns points, from the right, by an angle; its transpose turns them back."""
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _enclosed(outline: Points, degrees: float) -> tuple[float, float, Points, Points]:
    """The rectangle of a direction around an outline: the direction, the share of its sides on which points lie, and
    its first and last corner, turned upright."""
    upright = outline @ _turn(degrees).T
    first, last = upright.min(axis=0), upright.max(axis=0)
    shares = []
    for axis, length in enumerate((last - first)[::-1]):
        for side in (first[axis], last[axis]):
            near = upright[np.abs(upright[:, axis] - side) <= NEAR, 1 - axis]
            shares.append(len(np.unique(near.round())) / length)
    return degrees, float(np.mean(shares)), first, last
