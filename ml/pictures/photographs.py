"""Detect photographs of a film or a screen, as opposed to the X-ray's own file.

Each of three signs is sufficient: EXIF tags of a camera; colour where an X-ray is grey, since light and sensors are
never quite neutral; a sheet or screen that is seen at an angle in front of a background.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: EXIF tags that only cameras write: exposure time, aperture, sensitivity, focal length.
CAMERA_TAGS = frozenset({33434, 33437, 34855, 37386})
EXIF_IFD = 0x8769
#: Least difference between the strongest and the weakest channel of a coloured pixel, and least share of coloured
#: pixels in the middle of a coloured picture.
CHROMA, COLOURED = 5, 0.3
#: Longer side, in pixels, of the copy that is searched for a sheet.
SIDE = 400
#: Grey levels that may separate a sheet from its surroundings.
LEVELS = (40, 80, 120, 160, 200)
#: Least and largest share of the picture that a sheet covers, and the least tilt of a side, in degrees.
SMALLEST, LARGEST, LEAN = 0.12, 0.97, 1.5
#: Standard deviation, in grey levels, of the area around a sheet. Below it, the area is a border and not a room.
ROOM = 6.0
#: Least share of each side of a sheet that must be an edge, and the places along each side that are checked.
OUTLINE, PLACES = 0.75, np.linspace(0.05, 0.95, 60)[:, np.newaxis]
#: A pixel and its neighbours.
AROUND = np.ones((3, 3), np.uint8)

Corners = NDArray[np.float32]


def is_photograph(picture: Image.Image, bordered: bool = False) -> bool:
    """Whether a camera took the picture.

    Args:
        picture: from :func:`ml.pictures.decode.open_image`, which puts colours and EXIF into ``info``.
        bordered: whether a straight border was found. Photographs have none, so the frame of a window is not taken for
            a sheet.
    """
    return is_from_camera(picture) or (not bordered and find_sheet(picture) is not None)


def is_from_camera(picture: Image.Image) -> bool:
    """Whether EXIF tags or colours show that a camera took the picture: the two signs that are quick to check."""
    return has_camera_tags(picture) or has_colour(picture.info.get("colour"))


def has_camera_tags(picture: Image.Image) -> bool:
    try:
        tags = picture.getexif().get_ifd(EXIF_IFD)
    except Exception:  # noqa: BLE001  (Pillow raises any exception for damaged EXIF; the file then counts as having no tags)
        return False
    return len(CAMERA_TAGS & tags.keys()) >= 2


def has_colour(small: Image.Image | None) -> bool:
    """Whether the middle of a picture, where the X-ray is, is coloured.

    Args:
        small: mode ``RGB``; None for a grey picture.
    """
    if small is None:
        return False
    pixels = np.asarray(small, dtype=np.int16)
    height, width = pixels.shape[:2]
    middle = pixels[height // 5 : height - height // 5, width // 5 : width - width // 5]
    return float(np.mean(np.ptp(middle, axis=2) >= CHROMA)) >= COLOURED


def find_sheet(picture: Image.Image) -> Corners | None:
    """Find the corners of a film or screen that is seen at an angle.

    Returns:
        ``(4, 2)``: x and y in the picture's pixels; top left, top right, bottom right, bottom left. None if not found.
    """
    factor = max(picture.size) / SIDE
    size = max(1, round(picture.width / factor)), max(1, round(picture.height / factor))
    small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0))
    smooth = cv2.bilateralFilter(small, 5, 30, 5)
    edges = cv2.dilate(cv2.Canny(smooth, 20, 60), AROUND)
    near = cv2.dilate(edges, AROUND)
    best: tuple[float, Corners] | None = None
    levels = [cv2.threshold(smooth, level, 255, cv2.THRESH_BINARY)[1] for level in LEVELS]
    masks = (edges, *levels, *map(cv2.bitwise_not, levels))
    outlines = [
        outline for mask in masks for outline in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
    ]
    for outline in _large(outlines, small.size):
        if (corners := _corners(outline, small.size)) is None or not _is_seen_at_an_angle(corners):
            continue
        area = cv2.contourArea(corners)
        if best is not None and area <= best[0]:
            continue
        if _outlined_share(near, corners) >= OUTLINE and _spread_around(small, corners) >= ROOM:
            best = area, corners
    return None if best is None else best[1] * np.float32(factor)


def rectified(picture: Image.Image, corners: Corners) -> Image.Image:
    """Return a sheet as seen from the front, at its own size."""
    top, right, bottom, left = (float(np.linalg.norm(b - a)) for a, b in pairwise([*corners, corners[0]]))
    width, height = round(max(top, bottom)), round(max(left, right))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(corners, target)
    return Image.fromarray(cv2.warpPerspective(np.asarray(picture), transform, (width, height), flags=cv2.INTER_AREA))


def _large(outlines: Sequence[NDArray[Any]], pixels: int) -> list[NDArray[Any]]:
    """Outlines that are large enough for a sheet: a few of a thousand. NumPy checks all of them at once."""
    if not outlines:
        return []
    points = np.concatenate(outlines)[:, 0]
    first = np.cumsum([0, *map(len, outlines[:-1])])
    sides = np.maximum.reduceat(points, first) - np.minimum.reduceat(points, first) + 1
    return [outlines[n] for n in np.flatnonzero(sides.prod(axis=1) >= SMALLEST * pixels).tolist()]


def _corners(outline: NDArray[Any], pixels: int) -> Corners | None:
    """The four corners of an outline, from top left clockwise; None if it does not have four."""
    hull = cv2.convexHull(outline)
    area = cv2.contourArea(hull)
    if not SMALLEST * pixels <= area <= LARGEST * pixels:
        return None
    four = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True).reshape(-1, 2).astype(np.float32)
    if len(four) != 4 or cv2.contourArea(four) < 0.9 * area:
        return None
    middle = four.mean(axis=0)
    four = four[np.argsort(np.arctan2(four[:, 1] - middle[1], four[:, 0] - middle[0]))]
    return np.roll(four, -int(np.argmin(four.sum(axis=1))), axis=0)


def _is_seen_at_an_angle(corners: Corners) -> bool:
    leans = [abs((np.degrees(np.arctan2(*(b - a)[::-1])) + 45) % 90 - 45) for a, b in pairwise([*corners, corners[0]])]
    return max(leans) >= LEAN and max(leans) < 35


def _spread_around(small: NDArray[np.uint8], corners: Corners) -> float:
    outside = cv2.fillConvexPoly(np.ones(small.shape, np.uint8), corners.astype(np.int32), 0)
    if cv2.countNonZero(outside) <= 0.03 * small.size:
        return 0.0
    return float(cv2.meanStdDev(small, mask=outside)[1].item())


def _outlined_share(near: NDArray[Any], corners: Corners) -> float:
    """The smallest share, among the four sides, of places near an edge."""
    sides = np.roll(corners, -1, axis=0) - corners
    points = np.rint(corners[:, np.newaxis] + sides[:, np.newaxis] * PLACES).astype(int)
    points = points.clip(0, (near.shape[1] - 1, near.shape[0] - 1))
    return float((near[points[..., 1], points[..., 0]] > 0).mean(axis=1).min())
