"""Whether an answer rests on the lungs: where its map's strongest place is, and how much of the map is on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference.lungs import Floats
from ml.inference.novelty import Warnings

#: Lungs that cover less of the picture than this were not found, and nothing is said of where the evidence lies.
FOUND = 0.04
#: For the warning, places from this part of the largest value up count as the strongest: otherwise the rounding of an
#: engine or processor would choose among those that are about as strong.
ABOUT_AS_STRONG = 0.95
OUTSIDE_LUNGS = {
    "code": "evidence_outside_lungs",
    "detail": "What raised the model's score most lies outside the lungs and what is between them, such as at an arm. "
    "That is a reason to distrust this answer: please have the image read.",
}


def near(lungs: Floats) -> NDArray[np.float64]:
    """How much of each place is lung or touches it, since outlines and maps are coarse, ``(n, 14, 14)``: the largest of
    each place and of the eight beside it."""
    height, width = lungs.shape[1:]
    padded = np.pad(lungs.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    return np.asarray(np.max([padded[:, r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0))


def between(lungs: Floats) -> NDArray[np.bool_]:
    """The places on or near the lungs and what lies between two of these in a row or in a column: the heart, and opaque
    parts of a lung that were not found, but neither arms nor what is below, ``(n, 14, 14)``."""
    inside = near(lungs) >= 0.5
    for axis in (2, 1):
        before = np.logical_or.accumulate(inside, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(inside, axis), axis=axis), axis)
        inside = before & after
    return np.asarray(inside)


def share_inside(heatmaps: NDArray[np.uint8], lungs: Floats) -> NDArray[np.float64]:
    """The share of each map that lies on the lungs or beside them; NaN where the map is empty or no lungs were found.

    Args:
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
        lungs: ``(n, 14, 14)`` from :func:`ml.inference.lungs.masks`.
    """
    return _share(heatmaps, near(lungs), lungs)


def peak_inside(heatmaps: NDArray[np.uint8], places: NDArray[np.bool_], part: float = 1.0) -> NDArray[np.bool_]:
    """Whether a map's strongest place is one of these.

    Args:
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
        places: ``(n, 14, 14)``.
        part: of the largest value, from which a place counts as the strongest.
    """
    there = np.where(_as_large(places, heatmaps.shape[1:]), heatmaps, 0)
    return np.asarray(there.max(axis=(1, 2)) >= part * heatmaps.max(axis=(1, 2)))


def is_outside(heatmaps: NDArray[np.uint8], lungs: Floats) -> NDArray[np.bool_]:
    """Whether a map's strongest places are neither on the lungs nor between them, or less of the map there than of one
    that is spread evenly; never where no lungs were found. Arguments as for :func:`share_inside`."""
    places = between(lungs)
    share = _share(heatmaps, places, lungs)
    return ~np.isnan(share) & (~peak_inside(heatmaps, places, ABOUT_AS_STRONG) | (share < places.mean(axis=(1, 2))))


def _share(heatmaps: NDArray[np.uint8], places: NDArray[Any], lungs: Floats) -> NDArray[np.float64]:
    total = heatmaps.sum(axis=(1, 2), dtype=np.float64)
    inside = (heatmaps * _as_large(places, heatmaps.shape[1:])).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(inside, total, out=np.full_like(total, np.nan), where=(total > 0) & _found(lungs))


def _as_large(places: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Places ``(n, 14, 14)`` in the size of a map."""
    rows, columns = (
        ((np.arange(side) + 0.5) * of // side).astype(int) for side, of in zip(shape, places.shape[1:], strict=True)
    )
    return places[:, rows][:, :, columns]


def _found(lungs: Floats) -> NDArray[np.bool_]:
    return np.asarray((lungs >= 0.5).mean(axis=(1, 2)) >= FOUND)


def warnings_of(
    doubts: Sequence[Warnings], outside: Sequence[bool] | NDArray[np.bool_], probabilities: NDArray[np.float32],
    bundle: Bundle,
) -> list[Warnings]:  # fmt: skip
    """The warnings of readings, with one where an answer that is not negative rests on what is outside the lungs.

    Args:
        doubts: of each image, from :func:`ml.inference.novelty.warnings_of`. Where there is one, it is no chest X-ray,
            and its map says nothing.
        outside: of each image, from :func:`is_outside`.
        probabilities: ``(n,)`` of pneumonia.
        bundle: what read the images.
    """
    given = zip(doubts, outside, probabilities, strict=True)
    return [with_doubt(found, bool(away), float(probability), bundle) for found, away, probability in given]


def with_doubt(found: Warnings, outside: bool, probability: float, bundle: Bundle) -> Warnings:
    """One reading's warnings, with what its map adds.

    Args:
        found: its warnings so far.
        outside: whether its map is, see :func:`is_outside`.
        probability: of pneumonia; of a calibrated one with a bundle that has the thresholds for it.
        bundle: what read the image.
    """
    return found or [OUTSIDE_LUNGS] * (outside and probability >= min(bundle.thresholds.values()))
