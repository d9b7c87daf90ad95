"""Find the X-ray inside its borders: letterbox strips, collimation, a film's edge, the frame of a screenshot.

Darkness alone does not make a border: the air beside a child's body is part of the radiograph. A strip is cut off if
its lines are nearly constant along the whole edge and it ends in one step. Air beside a body ends gradually. From a
larger picture, a screenshot, a rectangle is cut out if parts of all four of its sides are edges and it contains nearly
all pixels that are shaded like an X-ray.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.pictures import screenshots
from ml.pictures.screenshots import SMALLEST

#: Largest share of a strip line's pixels that may differ from the strip's level, since strips contain markers and
#: letters. Above the second share, the step at the strip's end has to be higher.
MARKS, FEW_MARKS = 0.25, 0.1
#: Least rise, in the step, of the share of pixels off the level: with few marks, and with more. Behind the step, the
#: share may rise to less than this multiple of that rise.
STEP, MARKED_STEP, GROWTH = 0.2, 0.5, 1.3
#: Least width, as a share of the picture, of a strip that has a counterpart on the other side.
PAIRED = 0.02
#: Largest difference in grey levels between pixels of one level: in a lossless file, and in a JPEG.
TOLERANCES = (3, 12)
#: Largest width of a strip, as a share of the picture.
WIDEST = 0.45
#: Ratios of width to height of screens, and the least width, as a share of the screen, of two black bars that are not
#: only air.
SCREENS, BAR = (16 / 9, 16 / 10, 4 / 3), 0.06
#: Most nested frames, such as a film's edge in a viewer's canvas in a window.
DEPTH = 6
#: A border narrower than this share of a side is kept: the first line of a scan often differs slightly.
LEAST = 0.004
MIN_SIDE = 64
#: Lines that are examined together. Most edges have no border, which shows within this number of lines.
BLOCK = 32
#: A picture whose longer side exceeds this number of pixels is reduced before it is searched.
LARGE = 2048

Grey = NDArray[np.uint8]


class Box(NamedTuple):
    """A part of a picture, in pixels; ``right`` and ``bottom`` are exclusive."""

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
    """Return the X-ray's place in a picture, which is the whole picture if it has no border.

    Args:
        picture: mode ``L``, any size.
    """
    whole = Box(0, 0, picture.width, picture.height)
    # A reduced large picture still has enough lines. Differences at full size would take more memory than the picture.
    factor = -(-max(picture.size) // LARGE)
    searched = picture.reduce(factor) if factor > 1 else picture
    box = _without_strips(np.asarray(searched), Box(*(screenshots.find(searched) or (0, 0, *searched.size))))
    box = Box(
        box.left * factor,
        box.top * factor,
        min(box.right * factor, whole.right),
        min(box.bottom * factor, whole.bottom),
    )
    if not _is_plausible(box, whole):
        return whole
    across, down = LEAST * whole.width, LEAST * whole.height
    return Box(
        box.left if box.left >= across else 0,
        box.top if box.top >= down else 0,
        box.right if whole.right - box.right >= across else whole.right,
        box.bottom if whole.bottom - box.bottom >= down else whole.bottom,
    )


def _is_plausible(box: Box, whole: Box) -> bool:
    """Whether an X-ray can have the size and shape of a box."""
    long, short = max(box.width, box.height), min(box.width, box.height)
    return short >= MIN_SIDE and long <= 2.5 * short and box.width * box.height >= SMALLEST * whole.width * whole.height


# --- strips ---------------------------------------------------------------------------------------------------------


def _without_strips(pixels: Grey, box: Box) -> Box:
    for _ in range(DEPTH):
        part = pixels[box.top : box.bottom, box.left : box.right]
        top, bottom = _strip_width(part), _strip_width(part[::-1])
        left, right = _strip_width(part.T), _strip_width(part.T[::-1])
        top, bottom = _pair_width(part, top, bottom, part[-1]), _pair_width(part[::-1], bottom, top, part[0])
        left, right = _pair_width(part.T, left, right, part[:, -1]), _pair_width(part.T[::-1], right, left, part[:, 0])
        if top and abs(top - bottom) <= 2 and not left and not right:  # a frame has the same width on all sides
            left = right = min(_pair_width(part.T, 0, top, part[0]), _pair_width(part.T[::-1], 0, top, part[0]))
        elif left and abs(left - right) <= 2 and not top and not bottom:
            top = bottom = min(_pair_width(part, 0, left, part[:, 0]), _pair_width(part[::-1], 0, left, part[:, 0]))
        if not (left or right):
            left, right = _bar_widths(part)
        if not (top or bottom or left or right):
            break
        cut = Box(box.left + left, box.top + top, box.right - right, box.bottom - bottom)
        if min(cut.width, cut.height) < MIN_SIDE:
            break
        box = cut
    return box


def _strip_width(lines: Grey) -> int:
    """Number of lines, from the first one, that form a border; 0 without a border."""
    level, step = int(np.median(lines[0])), max(2, len(lines) // 250)
    return max(_step_line(_shares_off_level(lines, level, tolerance, step), step) for tolerance in TOLERANCES)


def _pair_width(lines: Grey, count: int, other_width: int, other_line: Grey) -> int:
    """Width of a strip, given the width and a line of a strip on another side.

    Frames have the same width on several sides. Air can hide the end of a black strip on one side. If another side
    shows the end, the same number of lines is cut on this side.
    """
    if count or other_width < PAIRED * len(lines):
        return count
    off = np.abs(lines[:other_width].astype(np.int16) - int(np.median(other_line))) > TOLERANCES[-1]
    return other_width if off.mean(axis=1).max() <= FEW_MARKS else 0


def _bar_widths(part: Grey) -> tuple[int, int]:
    """Number of black columns left and right of an X-ray on a screen, including the X-ray's own black air, which hides
    the X-ray's edge."""
    height, width = part.shape
    if not any(abs(width / height / ratio - 1) <= 2 / height for ratio in SCREENS):
        return 0, 0
    left, right = (_near_constant_lines(side) for side in (part.T, part.T[::-1]))
    return (left, right) if min(left, right) >= BAR * width else (0, 0)


def _near_constant_lines(lines: Grey) -> int:
    """Number of lines, from the first one, with few pixels off the first line's level."""
    off = np.abs(lines[: int(len(lines) * WIDEST)].astype(np.int16) - int(np.median(lines[0]))) > TOLERANCES[-1]
    return int(np.argmax([*(off.mean(axis=1) > FEW_MARKS), True]))


def _shares_off_level(lines: Grey, level: int, tolerance: int, step: int) -> NDArray[np.float64]:
    """Share of each line's pixels that are off the level, for the lines of the widest strip and a few more."""
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


def _step_line(shares: NDArray[np.float64], step: int) -> int:
    """Index of the last line that begins with a step after nearly constant lines; 0 without such a line."""
    for count in range(len(shares) - 5 * step, 0, -1):
        before = shares[:count].max()
        rise = shares[count : count + step].max() - before
        if before > MARKS or rise < (STEP if before <= FEW_MARKS else MARKED_STEP):
            continue
        # Air beside a body ends along a curve: the body's share grows with the root of the depth, and doubles here.
        if shares[count + step : count + 5 * step].mean() - before < GROWTH * rise:
            return count
    return 0
