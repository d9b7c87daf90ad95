"""Find an X-ray whose collimation or film is turned by a few degrees.

No line of such a picture is a border from end to end, so :mod:`ml.pictures.borders` finds none. The area outside has
one grey level and surrounds the X-ray, so the convex hull of the X-ray has straight sides. The outline of a body beside
air has none. If air hides a part of a side, the rest of the side still lies on one line.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.pictures.borders import MIN_SIDE
from ml.pictures.screenshots import SMALLEST

#: A picture is reduced to at most this longer side, in pixels, before it is searched.
SIDE = 1024
#: Largest difference in grey levels between pixels outside, and the least share of the picture's edge that is outside.
TOLERANCE, SURROUNDED = 12, 0.9
#: Least size of a part of the X-ray, as a share of the picture. Letters beside the X-ray are smaller.
PART = 0.01
#: Degrees. A border turned by less is cut line by line. No one turns a collimator against a detector by more.
LEAST, MOST = 0.2, 10.0
#: Largest distance, in pixels, of a point on a side; least share of the four sides that has such points.
NEAR, OUTLINED = 1.5, 0.5
#: Least length of a side that gives the direction, as a share of the picture.
LONG = 0.1

Points = NDArray[np.float64]


def find(picture: Image.Image) -> NDArray[np.float32] | None:
    """Find the corners of an X-ray that is turned inside its picture.

    Args:
        picture: mode ``L``, any size.

    Returns:
        ``(4, 2)``: x and y in the picture's pixels; top left, top right, bottom right, bottom left. None if not found.
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
        (_enclosing(outline, angle) for angle in _directions(outline, LONG * min(pixels.shape))),
        key=lambda enclosing: enclosing[1],
        default=(0.0, 0.0, np.zeros(2), np.zeros(2)),
    )
    width, height = right - left, bottom - top
    if share < OUTLINED or not LEAST <= abs(degrees) <= MOST:
        return None
    if min(width, height) * factor < MIN_SIDE or width * height < SMALLEST * pixels.size:
        return None
    # The outermost pixels mix the X-ray with the area outside.
    corners = np.array([(left + 1, top + 1), (right, top + 1), (right, bottom), (left + 1, bottom)])
    return (corners @ _rotation(degrees) * factor).astype(np.float32)


def _outline(inside: NDArray[np.bool_]) -> Points | None:
    """Points ``(n, 2)`` on the outlines of all larger parts."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    large = [part for part in range(1, count) if statistics[part, cv2.CC_STAT_AREA] >= PART * inside.size]
    shapes, _ = cv2.findContours(np.isin(parts, large).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.concatenate(shapes).reshape(-1, 2).astype(float) if shapes else None


def _directions(outline: Points, length: float) -> set[float]:
    """Angles, in degrees, between the long sides of the convex hull and the picture's sides."""
    hull = cv2.convexHull(outline.astype(np.float32)).reshape(-1, 2)
    sides = np.roll(hull, -1, axis=0) - hull
    return {
        float((np.degrees(np.arctan2(down, across)) + 45) % 90 - 45)
        for across, down in sides
        if np.hypot(across, down) >= length
    }


def _rotation(degrees: float) -> Points:
    """Matrix that turns points by an angle when multiplied from the right; its transpose turns them back."""
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _enclosing(outline: Points, degrees: float) -> tuple[float, float, Points, Points]:
    """Enclose an outline in a rectangle of the given direction.

    Returns:
        The direction; the share of the rectangle's sides that has points; its first and last corner, turned upright.
    """
    upright = outline @ _rotation(degrees).T
    first, last = upright.min(axis=0), upright.max(axis=0)
    shares = []
    for axis, length in enumerate((last - first)[::-1]):
        for side in (first[axis], last[axis]):
            near = upright[np.abs(upright[:, axis] - side) <= NEAR, 1 - axis]
            shares.append(len(np.unique(near.round())) / length)
    return degrees, float(np.mean(shares)), first, last
