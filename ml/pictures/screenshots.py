"""Find the X-ray that a screenshot shows: a rectangle with edges on all four sides that contains nearly all pixels that
are shaded like an X-ray."""

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Longer side, in pixels, of the copy that is searched; number of lines that are tried in each direction; least height
#: of an edge in grey levels; least length of a part of an edge, as a share of the screen.
SEARCHED, LINES, EDGE, LONG = 480, 20, 8, 0.12
#: Requirements of a picture on a screen: least share of each side that is an edge; least share of its pixels that are
#: shaded like an X-ray; least share of all such pixels of the screen; least and largest share of the screen.
SIDE, WITHIN, COVERED, SMALLEST, LARGEST = 0.3, 0.35, 0.95, 0.05, 0.9
#: Largest difference in grey levels between pixels of one level in a JPEG; least share of the surroundings that has
#: other levels.
TOLERANCE, BUSY = 12, 0.1

Grey = NDArray[np.uint8]
Ints = NDArray[np.intp]


def find(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """Return left, top, right and bottom of the picture that a screen shows, or None without such a picture.

    Args:
        picture: mode ``L``.
    """
    factor = -(-max(picture.size) // SEARCHED)
    small = np.asarray(picture.reduce(factor)).astype(np.int16)
    down, across = _is_steep(small), _is_steep(small.T)
    rows, columns = _pairs(down), _pairs(across)
    if not len(rows) or not len(columns):
        return None
    top, left = (side.ravel() for side in np.meshgrid(rows[:, 0], columns[:, 0], indexing="ij"))
    bottom, right = (side.ravel() for side in np.meshgrid(rows[:, 1], columns[:, 1], indexing="ij"))
    level, upright = _integral(down), _integral(across.T)
    sides = np.array([
        _mean(level, top, left, top + 1, right), _mean(level, bottom, left, bottom + 1, right),
        _mean(upright, top, left, bottom, left + 1), _mean(upright, top, right, bottom, right + 1),
    ])  # fmt: skip
    areas = (bottom - top) * (right - left)
    fits = (sides.min(axis=0) >= SIDE) & (areas >= SMALLEST * small.size) & (areas <= LARGEST * small.size)
    if not fits.any():
        return None  # the usual case, an X-ray's own file; computing the shading takes longer than all edges
    shading = _integral(_is_shaded(np.asarray(picture), factor))
    within = _mean(shading, top, left, bottom, right)
    covered = within * areas / max(1.0, shading[-1, -1])
    fits &= (within >= WITHIN) & (covered >= COVERED)
    if not fits.any():
        return None
    best = int(np.argmax(fits * covered * within**0.5 * sides.mean(axis=0)))
    around = np.ones(small.shape, dtype=bool)
    around[top[best] : bottom[best], left[best] : right[best]] = False
    if np.mean(np.abs(small[around] - np.median(small[around])) > TOLERANCE) < BUSY:
        return None  # a strip or frame of one level; ml.pictures.borders finds its end more exactly
    return (
        int(left[best]) * factor,
        int(top[best]) * factor,
        min(picture.width, int(right[best]) * factor),
        min(picture.height, int(bottom[best]) * factor),
    )


def _is_shaded(picture: Grey, factor: int) -> NDArray[np.bool_]:
    """Which pixels of the reduced picture are shaded like an X-ray: neither flat nor near letters."""
    slope = np.zeros(picture.shape, dtype=np.uint8)
    slope[:, 1:] = cv2.absdiff(picture[:, 1:], picture[:, :-1])
    slope[1:] = cv2.max(slope[1:], cv2.absdiff(picture[1:], picture[:-1]))
    shaded = np.asarray(Image.fromarray(cv2.inRange(slope, 1, 24)).reduce(factor))
    sharp = np.asarray(Image.fromarray(cv2.inRange(slope, 49, 255)).reduce(factor))
    return (shaded > 100) & (cv2.dilate(sharp, np.ones((9, 9), np.uint8)) < 40)


def _is_steep(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which pixels differ from the pixel above."""
    steep = np.zeros(values.shape, dtype=bool)
    steep[1:] = np.abs(np.diff(values, axis=0)) > EDGE
    return steep


def _pairs(steep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """All pairs ``(n, 2)`` of the rows with the longest edges along them. Edges of letters are too short to count."""
    length = max(8, int(steep.shape[1] * LONG))
    closed = cv2.morphologyEx(steep.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))
    counts = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((1, length), np.uint8)).sum(axis=1)
    counts[0] = counts[-1] = steep.shape[1]  # the picture's own edges
    best = np.argsort(counts, kind="stable")[::-1][:LINES]
    return np.array(list(combinations(sorted(best[counts[best] > 0].tolist()), 2)), dtype=np.intp).reshape(-1, 2)


def _integral(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sums over all rectangles that start at the first pixel (an integral image), after a row and a column of zeros."""
    return cv2.integral(values.astype(np.uint8)).astype(np.float64)


def _mean(sums: NDArray[np.float64], top: Ints, left: Ints, bottom: Ints, right: Ints) -> NDArray[np.float64]:
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return total / ((bottom - top) * (right - left))
