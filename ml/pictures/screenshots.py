"""Find the X-ray that a screenshot shows: a rectangle with edges on all four sides, in which next to all lies that is
shaded as an X-ray."""

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: The longer side, in pixels, at which a screenshot is searched, how many lines of each direction are tried, how many
#: grey levels an edge has, and how long, as a share of the screen, a part of one must be.
SEARCHED, LINES, EDGE, LONG = 480, 20, 8, 0.12
#: Of a picture on a screen: the least share of each side that is an edge, of its pixels that are shaded as an X-ray's,
#: of all such pixels that are in it, and the least and the largest share of the screen.
SIDE, WITHIN, KEPT, SMALLEST, LARGEST = 0.3, 0.35, 0.95, 0.05, 0.9
#: Grey levels that pixels of one level differ by in a JPEG, and the share of what lies around that is of other levels.
TOLERANCE, BUSY = 12, 0.1

Grey = NDArray[np.uint8]
Ints = NDArray[np.intp]


def find(picture: Image.Image) -> tuple[int, int, int, int] | None:
    """The left, top, right and bottom of the picture that a screen shows; None where there is none.

    Args:
        picture: mode ``L``.
    """
    factor = -(-max(picture.size) // SEARCHED)
    small = np.asarray(picture.reduce(factor)).astype(np.int16)
    down, across = _steep(small), _steep(small.T)
    rows, columns = _pairs(down), _pairs(across)
    if not len(rows) or not len(columns):
        return None
    top, left = (side.ravel() for side in np.meshgrid(rows[:, 0], columns[:, 0], indexing="ij"))
    bottom, right = (side.ravel() for side in np.meshgrid(rows[:, 1], columns[:, 1], indexing="ij"))
    level, upright = _sums(down), _sums(across.T)
    sides = np.array([
        _mean(level, top, left, top + 1, right), _mean(level, bottom, left, bottom + 1, right),
        _mean(upright, top, left, bottom, left + 1), _mean(upright, top, right, bottom, right + 1),
    ])  # fmt: skip
    areas = (bottom - top) * (right - left)
    fits = (sides.min(axis=0) >= SIDE) & (areas >= SMALLEST * small.size) & (areas <= LARGEST * small.size)
    if not fits.any():
        return None  # as in an X-ray's own file: how it is shaded takes longer to find than all edges
    softness = _sums(_soft(np.asarray(picture), factor))
    within = _mean(softness, top, left, bottom, right)
    kept = within * areas / max(1.0, softness[-1, -1])
    fits &= (within >= WITHIN) & (kept >= KEPT)
    if not fits.any():
        return None
    best = int(np.argmax(fits * kept * within**0.5 * sides.mean(axis=0)))
    around = np.ones(small.shape, dtype=bool)
    around[top[best] : bottom[best], left[best] : right[best]] = False
    if np.mean(np.abs(small[around] - np.median(small[around])) > TOLERANCE) < BUSY:
        return None  # one strip or frame of one level, whose end shows better line by line
    return (
        int(left[best]) * factor,
        int(top[best]) * factor,
        min(picture.width, int(right[best]) * factor),
        min(picture.height, int(bottom[best]) * factor),
    )


def _soft(part: Grey, factor: int) -> NDArray[np.bool_]:
    """Which pixels of the reduced picture are shaded as an X-ray is: neither flat nor near to letters."""
    slope = np.zeros(part.shape, dtype=np.uint8)
    slope[:, 1:] = cv2.absdiff(part[:, 1:], part[:, :-1])
    slope[1:] = cv2.max(slope[1:], cv2.absdiff(part[1:], part[:-1]))
    shaded = np.asarray(Image.fromarray(cv2.inRange(slope, 1, 24)).reduce(factor))
    sharp = np.asarray(Image.fromarray(cv2.inRange(slope, 49, 255)).reduce(factor))
    return (shaded > 100) & (cv2.dilate(sharp, np.ones((9, 9), np.uint8)) < 40)


def _steep(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    """The rows that differ from the row before."""
    steep = np.zeros(values.shape, dtype=bool)
    steep[1:] = np.abs(np.diff(values, axis=0)) > EDGE
    return steep


def _pairs(steep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """``(n, 2)``: any two of the rows with the longest edges along them. Those of letters are short."""
    length = max(8, int(steep.shape[1] * LONG))
    closed = cv2.morphologyEx(steep.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))
    counts = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((1, length), np.uint8)).sum(axis=1)
    counts[0] = counts[-1] = steep.shape[1]  # the picture's own
    best = np.argsort(counts, kind="stable")[::-1][:LINES]
    return np.array(list(combinations(sorted(best[counts[best] > 0].tolist()), 2)), dtype=np.intp).reshape(-1, 2)


def _sums(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sums over all rectangles from the first pixel on, with a row and a column of zeros before them."""
    return cv2.integral(values.astype(np.uint8)).astype(np.float64)


def _mean(sums: NDArray[np.float64], top: Ints, left: Ints, bottom: Ints, right: Ints) -> NDArray[np.float64]:
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return total / ((bottom - top) * (right - left))
