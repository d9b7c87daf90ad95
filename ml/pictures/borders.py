"""Find the X-ray inside its borders: letterbox strips, collimation, a film's edge, the frame of a screenshot.

Darkness decides nothing: the air beside a child's body is part of the radiograph. A strip is cut where its lines are
near-constant along the whole edge and end in one step, not little by little as air beside a body does. A rectangle is
cut out of a larger picture, a screenshot, where parts of all four of its sides are edges and next to all that is shaded
as an X-ray is lies in it.
"""

from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: A strip's lines have at most this share of pixels off its level, for markers and letters lie in strips as well. Where
#: more than a few do, the step behind has to be higher.
MARKS, FEW_MARKS = 0.25, 0.1
#: The share of the edge's pixels that leave the level in the step, and how much further it may grow behind it.
STEP, MARKED_STEP, GROWTH = 0.2, 0.5, 1.3
#: The least width, as a share of the picture, of a strip that has a counterpart on the other side.
PAIRED = 0.02
#: Grey levels that pixels of one level differ by: in a file that lost nothing, and in a JPEG.
TOLERANCES = (3, 12)
#: A strip is no wider than this share of the picture, and what is cut out no smaller than this share of it.
WIDEST, SMALLEST = 0.45, 0.05
#: Frames lie in frames: a film's edge in a viewer's canvas in a window.
DEPTH = 6
#: A border below this share of a side is not cut off: a scan's first line is often a little off.
LEAST = 0.004
#: The longer side, in pixels, at which a screenshot is searched, how many lines of each direction are tried, how many
#: grey levels an edge has, and how long, as a share of the screen, a part of one must be.
SEARCHED, LINES, EDGE, LONG = 480, 20, 8, 0.12
#: Of a picture on a screen: the least share of each side that is an edge, of its pixels that are shaded as an X-ray's,
#: of all such pixels that are in it, and the largest share of the screen.
SIDE, WITHIN, KEPT, LARGEST = 0.3, 0.35, 0.95, 0.9
MIN_SIDE = 64
#: Lines that are looked at together: most edges have no border, and show it within so many.
BLOCK = 32
#: The longer side, in pixels, from which a picture is reduced before it is searched.
LARGE = 2048

#: The share of what lies around it that is not of one level.
BUSY = 0.1

Grey = NDArray[np.uint8]
Ints = NDArray[np.intp]


class Box(NamedTuple):
    """A part of a picture, in pixels; ``right`` and ``bottom`` lie outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def find(picture: Image.Image) -> Box:
    """The X-ray's place in a picture; all of it where there is no border.

    Args:
        picture: mode ``L``, any size.
    """
    whole = Box(0, 0, picture.width, picture.height)
    # Large pictures have lines to spare, and their differences would take more memory than they do.
    factor = -(-max(picture.size) // LARGE)
    pixels = np.asarray(picture.reduce(factor) if factor > 1 else picture)
    seen = Box(0, 0, pixels.shape[1], pixels.shape[0])
    box = _without_strips(pixels, _pictured(pixels, seen) or seen)
    box = Box(
        box.left * factor,
        box.top * factor,
        min(box.right * factor, whole.right),
        min(box.bottom * factor, whole.bottom),
    )
    if not _can_be(box, whole):
        return whole
    across, down = LEAST * whole.width, LEAST * whole.height
    return Box(
        box.left if box.left >= across else 0,
        box.top if box.top >= down else 0,
        box.right if whole.right - box.right >= across else whole.right,
        box.bottom if whole.bottom - box.bottom >= down else whole.bottom,
    )


def _can_be(box: Box, whole: Box) -> bool:
    """Whether a box has the size and shape that an X-ray can have."""
    long, short = max(box.width, box.height), min(box.width, box.height)
    return short >= MIN_SIDE and long <= 2.5 * short and box.width * box.height >= SMALLEST * whole.width * whole.height


# --- strips ---------------------------------------------------------------------------------------------------------


def _without_strips(pixels: Grey, box: Box) -> Box:
    for _ in range(DEPTH):
        part = pixels[box.top : box.bottom, box.left : box.right]
        top, bottom = _strip(part), _strip(part[::-1])
        left, right = _strip(part.T), _strip(part.T[::-1])
        top, bottom = _paired(part, top, bottom, part[-1]), _paired(part[::-1], bottom, top, part[0])
        left, right = _paired(part.T, left, right, part[:, -1]), _paired(part.T[::-1], right, left, part[:, 0])
        if top and abs(top - bottom) <= 2 and not left and not right:  # a frame is as wide on all sides
            left = right = min(_paired(part.T, 0, top, part[0]), _paired(part.T[::-1], 0, top, part[0]))
        elif left and abs(left - right) <= 2 and not top and not bottom:
            top = bottom = min(_paired(part, 0, left, part[:, 0]), _paired(part[::-1], 0, left, part[:, 0]))
        if not (top or bottom or left or right):
            break
        cut = Box(box.left + left, box.top + top, box.right - right, box.bottom - bottom)
        if min(cut.width, cut.height) < MIN_SIDE:
            break
        box = cut
    return box


def _strip(lines: Grey) -> int:
    """How many lines from the first one on are a border: 0 where none is."""
    level, step = int(np.median(lines[0])), max(2, len(lines) // 250)
    return max(_steps(_shares(lines, level, tolerance, step), step) for tolerance in TOLERANCES)


def _paired(lines: Grey, count: int, other: int, like: Grey) -> int:
    """A strip's lines, where the width and a line of another side's are known: frames are as wide on several sides.

    Air hides where a black strip ends. Where another side shows it, as many lines are cut on this side.
    """
    if count or other < PAIRED * len(lines):
        return count
    off = np.abs(lines[:other].astype(np.int16) - int(np.median(like))) > TOLERANCES[-1]
    return other if off.mean(axis=1).max() <= FEW_MARKS else 0


def _shares(lines: Grey, level: int, tolerance: int, step: int) -> NDArray[np.float64]:
    """The share of each line's pixels that are off the level, up to a little more than a strip's reach."""
    shares = np.empty(0)
    last = int(len(lines) * WIDEST)
    for start in range(0, len(lines), BLOCK):
        block = lines[start : start + BLOCK]
        off = (block > level + tolerance) | (block < level - tolerance)
        shares = np.append(shares, off.mean(axis=1))
        marked = np.flatnonzero(shares > MARKS)
        last = min([last, *marked[:1]])
        if len(shares) > last + 5 * step:
            break
    return shares[: last + 5 * step + 1]


def _steps(shares: NDArray[np.float64], step: int) -> int:
    """The last line that begins with a step, where those before it are near-constant; 0 where none does."""
    for count in range(len(shares) - 5 * step, 0, -1):
        before = shares[:count].max()
        rise = shares[count : count + step].max() - before
        if before > MARKS or rise < (STEP if before <= FEW_MARKS else MARKED_STEP):
            continue
        # Air beside a body ends along a curve: the body's share grows with the root of the depth, to its double here.
        if shares[count + step : count + 5 * step].mean() - before < GROWTH * rise:
            return count
    return 0


# --- a picture in a screenshot ---------------------------------------------------------------------------------------


def _pictured(pixels: Grey, box: Box) -> Box | None:
    """The rectangle of a picture that a screen shows; None where there is none."""
    part = pixels[box.top : box.bottom, box.left : box.right]
    factor = -(-max(part.shape) // SEARCHED)
    soft = _soft(part, factor)
    small = np.asarray(Image.fromarray(part).reduce(factor)).astype(np.int16)
    down, across = _steep(small), _steep(small.T)
    rows, columns = _pairs(down), _pairs(across)
    if not len(rows) or not len(columns):
        return None
    top, left = (side.ravel() for side in np.meshgrid(rows[:, 0], columns[:, 0], indexing="ij"))
    bottom, right = (side.ravel() for side in np.meshgrid(rows[:, 1], columns[:, 1], indexing="ij"))
    level, upright, softness = _sums(down), _sums(across.T), _sums(soft)
    sides = np.array([
        _mean(level, top, left, top + 1, right), _mean(level, bottom, left, bottom + 1, right),
        _mean(upright, top, left, bottom, left + 1), _mean(upright, top, right, bottom, right + 1),
    ])  # fmt: skip
    areas = (bottom - top) * (right - left)
    within = _mean(softness, top, left, bottom, right)
    kept = within * areas / max(1.0, softness[-1, -1])
    fits = (sides.min(axis=0) >= SIDE) & (within >= WITHIN) & (kept >= KEPT)
    fits &= (areas >= SMALLEST * soft.size) & (areas <= LARGEST * soft.size)
    if not fits.any():
        return None
    best = int(np.argmax(fits * kept * within**0.5 * sides.mean(axis=0)))
    around = np.ones(small.shape, dtype=bool)
    around[top[best] : bottom[best], left[best] : right[best]] = False
    if np.mean(np.abs(small[around] - np.median(small[around])) > TOLERANCES[-1]) < BUSY:
        return None  # one strip or frame of one level, whose end shows better line by line
    return Box(
        box.left + int(left[best]) * factor,
        box.top + int(top[best]) * factor,
        min(box.right, box.left + int(right[best]) * factor),
        min(box.bottom, box.top + int(bottom[best]) * factor),
    )


def _soft(part: Grey, factor: int) -> NDArray[np.bool_]:
    """Which pixels of the reduced picture are shaded as an X-ray is: neither flat nor near to letters."""
    slope = np.zeros(part.shape, dtype=np.uint8)
    slope[:, 1:] = cv2.absdiff(part[:, 1:], part[:, :-1])
    slope[1:] = cv2.max(slope[1:], cv2.absdiff(part[1:], part[:-1]))
    shaded = np.asarray(Image.fromarray(((slope > 0) & (slope <= 24)).astype(np.uint8) * 255).reduce(factor))
    sharp = np.asarray(Image.fromarray((slope > 48).astype(np.uint8) * 255).reduce(factor))
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
