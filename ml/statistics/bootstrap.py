"""Bootstrap intervals, by drawing patients."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 1000
LEVEL = 0.95


def intervals(
    truth: NDArray[Any],
    probability: NDArray[Any],
    threshold: float,
    patients: NDArray[Any],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Bootstrap 95 % intervals, drawing patients (with all their images) rather than images, within each class.

    Images of one patient are similar. Drawing them one by one would make the intervals too narrow.
    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979 (percentile intervals).

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        probability: ``(n,)`` probability of pneumonia.
        threshold: probability from which an image counts as pneumonia.
        patients: ``(n,)`` identifiers.
        rounds: number of draws.
        seed: of the draws.

    Returns:
        For accuracy, precision, recall, specificity, f1 and roc_auc: (lower, upper).
    """
    drawn: dict[str, list[float]] = {}
    for chosen in draws(truth, patients, rounds, seed):
        for name, value in figures(truth[chosen], probability[chosen], threshold).items():
            drawn.setdefault(name, []).append(value)
    return {name: interval(values) for name, values in drawn.items()}


def draws(truth: NDArray[Any], patients: NDArray[Any], rounds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of the images of each draw of patients. The same arguments always give the same draws.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        patients: ``(n,)`` identifiers.
        rounds: number of draws.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    classes = [
        [np.flatnonzero(patients == patient) for patient in np.unique(patients[truth == label])] for label in (0, 1)
    ]
    for _ in range(rounds):
        yield np.concatenate([groups[i] for groups in classes for i in rng.integers(len(groups), size=len(groups))])


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The bounds of the middle 95 % of the drawn values."""
    tail = (1 - LEVEL) / 2 * 100
    return float(np.percentile(values, tail)), float(np.percentile(values, 100 - tail))


def figures(truth: NDArray[Any], probability: NDArray[Any], threshold: float | NDArray[Any]) -> dict[str, float]:
    """Six figures of :func:`ml.statistics.metrics.measure`, a hundred times faster. ``threshold`` may be ``(n,)``."""
    labelled, positive = probability >= threshold, truth == 1
    tp, fp = np.sum(labelled & positive), np.sum(labelled & ~positive)
    fn, tn = np.sum(~labelled & positive), np.sum(~labelled & ~positive)
    p, n = tp + fn, fp + tn
    _, index, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]  # images with the same probability share their mean rank
    return {
        "accuracy": (tp + tn) / (p + n),
        "precision": tp / max(1, tp + fp),
        "recall": tp / max(1, p),
        "specificity": tn / max(1, n),
        "f1": 2 * tp / max(1, 2 * tp + fp + fn),
        "roc_auc": (ranks[positive].sum() - p * (p + 1) / 2) / max(1, p * n),
    }
