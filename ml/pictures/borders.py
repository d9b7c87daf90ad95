"""Find the X-ray inside its borders: letterbox strips, collimation, a film's edge, the frame of a screenshot.

Darkness decides nothing: the air beside a child's body is part of the radiograph. A strip is cut where its lines are
near-constant along the whole edge and end in one step, not little by little as air beside a body does. A rectangle is
cut out of a larger picture, a screenshot, where parts of all four of its sides are edges and next to all that is shaded
as an X-ray is lies in it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.pictures import screenshots
from ml.pictures.screenshots import SMALLEST

#: A strip's lines have at most this share of pixels off its level, for markers and letters lie in strips as well. Where
#: more than a few do, the step behind has to be higher.
MARKS, FEW_MARKS = 0.25, 0.1
#: The share of the edge's pixels that leave the level in the step, and how much further it may grow behind it.
STEP, MARKED_STEP, GROWTH = 0.2, 0.5, 1.3
#: The least width, as a share of the picture, of a strip that has a counterpart on the other side.
PAIRED = 0.02
#: Grey levels that pixels of one level differ by: in a file that lost nothing, and in a JPEG.
TOLERANCES = (3, 12)
#: A strip is no wider than this share of the picture.
WIDEST = 0.45
#: Ratios of width to height of screens. Black on both sides of one, each at least of this share, is not air alone.
SCREENS, BAR = (16 / 9, 16 / 10, 4 / 3), 0.06
#: Frames lie in frames: a film's edge in a viewer's canvas in a window.
DEPTH = 6
#: A border below this share of a side is not cut off: a scan's first line is often a little off.
LEAST = 0.004
MIN_SIDE = 64
#: Lines that are looked at together: most edges have no border, and show it within so many.
BLOCK = 32
#: The longer side, in pixels, from which a picture is reduced before it is searched.
LARGE = 2048

Grey = NDArray[np.uint8]


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
    seen = picture.reduce(factor) if factor > 1 else picture
    box = _without_strips(np.asarray(seen), Box(*(screenshots.find(seen) or (0, 0, *seen.size))))
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
        if not (left or right):
            left, right = _bars(part)
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


def _bars(part: Grey) -> tuple[int, int]:
    """The columns beside an X-ray on a screen, whose own black air hides where it begins: the air goes with them."""
    height, width = part.shape
    if not any(abs(width / height / ratio - 1) <= 2 / height for ratio in SCREENS):
        return 0, 0
    left, right = (_near_constant(side) for side in (part.T, part.T[::-1]))
    return (left, right) if min(left, right) >= BAR * width else (0, 0)


def _near_constant(lines: Grey) -> int:
    """How many lines from the first one on have few pixels off its level."""
    off = np.abs(lines[: int(len(lines) * WIDEST)].astype(np.int16) - int(np.median(lines[0]))) > TOLERANCES[-1]
    return int(np.argmax([*(off.mean(axis=1) > FEW_MARKS), True]))


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
