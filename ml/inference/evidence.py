"""Whether an answer rests on the chest: where its map's strongest place is, and how much of it is around the thorax."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference.novelty import Warnings

#: The width and height of a generous box around the thorax, in the middle of the image, as parts of it.
CHEST = (0.72, 0.66)
#: A map with less than this of it in that box is no better than one that is spread evenly, which has 0.475 there.
INSIDE = 0.47
OUTSIDE_CHEST = {
    "code": "map_outside_chest",
    "detail": "What raised the model's score most lies outside the chest, such as at a corner or an arm. That is a "
    "reason to distrust this answer: please have the image read.",
}


def share_inside(heatmaps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of each map that lies in the box around the thorax; 1 where a map is empty.

    Args:
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
    """
    _, height, width = heatmaps.shape
    across, down = _covered(width, CHEST[0]), _covered(height, CHEST[1])
    total = heatmaps.sum(axis=(1, 2), dtype=np.float64)
    inside = np.einsum("nhw,h,w->n", heatmaps.astype(np.float64), down, across)
    return np.divide(inside, total, out=np.ones_like(total), where=total > 0)


def peak_inside(heatmaps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a map's strongest place lies in the box around the thorax. A place is where its middle is."""
    _, height, width = heatmaps.shape
    inside = np.outer(_covered(height, CHEST[1]) > 0.5, _covered(width, CHEST[0]) > 0.5)
    strongest: NDArray[np.bool_] = np.where(inside, heatmaps, 0).max(axis=(1, 2)) >= heatmaps.max(axis=(1, 2))
    return strongest


def is_outside(heatmaps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a map's strongest place lies outside the box around the thorax, or too little of the map inside of it."""
    return ~peak_inside(heatmaps) | (share_inside(heatmaps) < INSIDE)


def _covered(places: int, part: float) -> NDArray[np.float64]:
    """How much of each of a side's places lies in the middle part of that side."""
    edges = np.arange(places + 1) / places
    low, high = (1 - part) / 2, (1 + part) / 2
    return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * places


def warnings_of(
    doubts: Sequence[Warnings], heatmaps: NDArray[np.uint8], probabilities: NDArray[np.float32], bundle: Bundle
) -> list[Warnings]:
    """The warnings of readings, with one where an answer that is not negative rests on what is outside the chest.

    Args:
        doubts: of each image, from :func:`ml.inference.novelty.warnings_of`. Where there is one, it is no chest X-ray,
            and its map says nothing.
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
        probabilities: ``(n,)`` of pneumonia.
        bundle: what read the images.
    """
    given = zip(doubts, is_outside(heatmaps), probabilities, strict=True)
    return [with_doubt(found, bool(outside), float(probability), bundle) for found, outside, probability in given]


def with_doubt(found: Warnings, outside: bool, probability: float, bundle: Bundle) -> Warnings:
    """One reading's warnings, with what its map adds.

    Args:
        found: its warnings so far.
        outside: whether its map is, see :func:`is_outside`.
        probability: of pneumonia; of a calibrated one with a bundle that has the thresholds for it.
        bundle: what read the image.
    """
    return found or [OUTSIDE_CHEST] * (outside and probability >= min(bundle.thresholds.values()))
