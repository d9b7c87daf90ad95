"""Whether an answer is based on the lungs: where the peak of its map is, and how much of the map is on the lungs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference.lungs import Floats
from ml.inference.novelty import Warnings

#: If the lungs cover less of the picture than this, they count as not found, and there is no warning.
FOUND = 0.04
#: For the warning, cells with at least this share of the largest value count as peaks. Otherwise rounding, which
#: differs between engines and processors, would choose among cells of about the same value.
ABOUT_AS_STRONG = 0.95
OUTSIDE_LUNGS = {
    "code": "evidence_outside_lungs",
    "detail": "What raised the model's score most lies outside the lungs and what is between them, such as at an arm. "
    "That is a reason to distrust this answer: please have the image read.",
}


def near(lungs: Floats) -> NDArray[np.float64]:
    """The lungs widened by one cell, ``(n, 14, 14)``, because outlines and maps are coarse.

    Each cell gets the largest value of itself and its eight neighbours.
    """
    height, width = lungs.shape[1:]
    padded = np.pad(lungs.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    return np.asarray(np.max([padded[:, r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0))


def lungs_and_between(lungs: Floats) -> NDArray[np.bool_]:
    """The cells on or near the lungs, and all cells between two of these in a row or a column, ``(n, 14, 14)``.

    This includes the heart and opaque parts of a lung that were not found, but neither the arms nor what is below.
    """
    inside = near(lungs) >= 0.5
    for axis in (2, 1):
        before = np.logical_or.accumulate(inside, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(inside, axis), axis=axis), axis)
        inside = before & after
    return np.asarray(inside)


def share_inside(heatmaps: NDArray[np.uint8], lungs: Floats) -> NDArray[np.float64]:
    """The share of each map that lies on or next to the lungs; NaN if the map is empty or no lungs were found.

    Args:
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
        lungs: ``(n, 14, 14)`` from :func:`ml.inference.lungs.masks`.
    """
    return _share(heatmaps, near(lungs), lungs)


def peak_inside(heatmaps: NDArray[np.uint8], cells: NDArray[np.bool_], part: float = 1.0) -> NDArray[np.bool_]:
    """Whether a peak of each map lies in these cells.

    Args:
        heatmaps: ``(n, h, w)`` from :func:`ml.inference.heatmaps.to_bytes`.
        cells: ``(n, 14, 14)``.
        part: the share of the largest value from which a value counts as a peak.
    """
    inside = np.where(_resized(cells, heatmaps.shape[1:]), heatmaps, 0)
    return np.asarray(inside.max(axis=(1, 2)) >= part * heatmaps.max(axis=(1, 2)))


def is_outside(heatmaps: NDArray[np.uint8], lungs: Floats) -> NDArray[np.bool_]:
    """Whether the evidence lies outside the lungs and the cells between them.

    That is so if no peak of the map lies there, or a smaller share of the map than if it were spread evenly. It is
    False if no lungs were found. Takes the arguments of :func:`share_inside`.
    """
    cells = lungs_and_between(lungs)
    share = _share(heatmaps, cells, lungs)
    return ~np.isnan(share) & (~peak_inside(heatmaps, cells, ABOUT_AS_STRONG) | (share < cells.mean(axis=(1, 2))))


def _share(heatmaps: NDArray[np.uint8], cells: NDArray[Any], lungs: Floats) -> NDArray[np.float64]:
    total = heatmaps.sum(axis=(1, 2), dtype=np.float64)
    inside = (heatmaps * _resized(cells, heatmaps.shape[1:])).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(inside, total, out=np.full_like(total, np.nan), where=(total > 0) & _are_found(lungs))


def _resized(cells: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Cells ``(n, 14, 14)`` resized to the shape of a map."""
    rows, columns = (
        ((np.arange(side) + 0.5) * grid_side // side).astype(int)
        for side, grid_side in zip(shape, cells.shape[1:], strict=True)
    )
    return cells[:, rows][:, :, columns]


def _are_found(lungs: Floats) -> NDArray[np.bool_]:
    return np.asarray((lungs >= 0.5).mean(axis=(1, 2)) >= FOUND)


def warnings_of(
    doubts: Sequence[Warnings], outside: Sequence[bool] | NDArray[np.bool_], probabilities: NDArray[np.float32],
    bundle: Bundle,
) -> list[Warnings]:  # fmt: skip
    """The warnings of readings, with one added if the evidence for an answer that is not negative is outside the lungs.

    Args:
        doubts: each image's warnings from :func:`ml.inference.novelty.warnings_of`. An image that has any is no chest
            X-ray, and its map means nothing.
        outside: for each image, from :func:`is_outside`.
        probabilities: ``(n,)`` the probabilities of pneumonia.
        bundle: the bundle that read the images.
    """
    rows = zip(doubts, outside, probabilities, strict=True)
    return [
        with_doubt(image_warnings, bool(is_away), float(probability), bundle)
        for image_warnings, is_away, probability in rows
    ]


def with_doubt(warnings: Warnings, outside: bool, probability: float, bundle: Bundle) -> Warnings:
    """One reading's warnings, including the one from its map.

    Args:
        warnings: its warnings so far.
        outside: whether its evidence lies outside the lungs, see :func:`is_outside`.
        probability: the probability of pneumonia. If it is calibrated for a department, ``bundle`` must have the
            department's thresholds.
        bundle: the bundle that read the image.
    """
    return warnings or [OUTSIDE_LUNGS] * (outside and probability >= min(bundle.thresholds.values()))
