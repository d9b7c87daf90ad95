"""Calibration of a network's outputs, and measures of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
#: Probabilities are clipped to this distance from 0 and 1, so that their log-odds are finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: a line through the log-odds.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.

    Attributes:
        method: ``platt``, or ``none``.
        slope: factor of the log-odds.
        intercept: constant added to them.
    """

    method: str = "none"
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Calibration":
        arguments = {key: values[key] for key in ("method", "slope", "intercept") if key in values}
        calibration = cls(**arguments)
        if calibration.method not in ("none", "platt"):
            raise ValueError(f"the calibration {calibration.method!r}")
        return calibration

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def apply(self, probability: NDArray[Any]) -> NDArray[Any]:
        """Calibrate probabilities of pneumonia, of any shape."""
        if self.method == "none":
            return probability
        odds = self.slope * logit(probability) + self.intercept
        return np.asarray(1 / (1 + np.exp(-odds)), dtype=probability.dtype)

    def apply_to_outputs(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate ``(n, 2)`` outputs (normal, pneumonia), so that each pair adds up to one."""
        if self.method == "none":
            return outputs
        pneumonia = self.apply(outputs[:, 1])
        return np.stack([1 - pneumonia, pneumonia], axis=1)


def logit(probability: NDArray[Any]) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(probability, dtype=np.float64), EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))


def probability(odds: NDArray[Any]) -> NDArray[np.float64]:
    """The inverse of :func:`logit`, for log-odds of any size."""
    return np.asarray(np.exp(-np.logaddexp(0, -np.asarray(odds, dtype=np.float64))))


def fit(truth: NDArray[Any], probability: NDArray[Any]) -> Calibration:
    """Fit Platt scaling.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        probability: ``(n,)`` probability of pneumonia before calibration.
    """
    from sklearn.linear_model import LogisticRegression  # late: workers apply a calibration and never fit one

    # A weak penalty keeps the slope finite if the classes are perfectly separable.
    line = LogisticRegression(C=100.0).fit(logit(probability)[:, np.newaxis], truth)
    return Calibration("platt", float(line.coef_[0, 0]), float(line.intercept_[0]))


def cross_fitted(
    truth: NDArray[Any], probability: NDArray[Any], groups: NDArray[Any], folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Calibrate each probability by a fit to other patients' images, so that no fit is measured on its own images.

    Args:
        truth: ``(n,)`` of 0 and 1.
        probability: ``(n,)`` before calibration.
        groups: ``(n,)`` patients. All images of a patient are in one part.
        folds: number of parts of the patients; fewer if a class has fewer patients.
        seed: of the division.

    Raises:
        ValueError: a class has fewer than two patients.
    """
    part = parts(truth, groups, folds, seed)
    result = np.empty(len(truth))
    for fold in np.unique(part):
        in_fold = part == fold
        result[in_fold] = fit(truth[~in_fold], probability[~in_fold]).apply(probability[in_fold])
    return result


def parts(truth: NDArray[Any], groups: NDArray[Any], folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Divide images by patient into parts with about the same number of patients with and without pneumonia.

    Args:
        truth: like all arguments, as for :func:`cross_fitted`.

    Returns:
        ``(n,)`` the number of each image's part, the same for all images of a patient.

    Raises:
        ValueError: a class has fewer than two patients.
    """
    rng = np.random.default_rng(seed)
    with_pneumonia = np.unique(groups[truth == 1])
    without = np.setdiff1d(groups, with_pneumonia)
    folds = min(folds, len(with_pneumonia), len(without))
    if folds < 2:
        raise ValueError("calibration needs at least two held-out patients of each class")
    part_of: dict[str, int] = {}
    for patients in (without, with_pneumonia):
        numbers = rng.permutation(np.arange(len(patients)) % folds)
        part_of |= dict(zip(patients.tolist(), numbers.tolist(), strict=True))
    return np.array([part_of[patient] for patient in groups.tolist()])


def reliability(truth: NDArray[Any], probability: NDArray[Any]) -> list[dict[str, float]]:
    """For each non-empty tenth of the scale: number of images, mean probability, and share with pneumonia."""
    bin_of = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    return [
        {
            "n": int((bin_of == b).sum()),
            "predicted": float(probability[bin_of == b].mean()),
            "observed": float(truth[bin_of == b].mean()),
        }
        for b in range(BINS)
        if (bin_of == b).any()
    ]


def expected_calibration_error(truth: NDArray[Any], probability: NDArray[Any]) -> float:
    """Mean distance between predicted and observed shares, weighted by the number of images in each tenth of the scale.

    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.
    """
    bins = reliability(truth, probability)
    return float(sum(b["n"] * abs(b["predicted"] - b["observed"]) for b in bins) / len(truth))


def error_by_chance(probability: NDArray[Any], rng: np.random.Generator, draws: int = 8) -> float:
    """Mean of :func:`expected_calibration_error` if the probabilities are exactly right.

    It is above 0, since the share of pneumonias among the few images in a tenth of the scale varies by chance.
    """
    truths = rng.random((draws, len(probability))) < probability
    return float(np.mean([expected_calibration_error(truth, probability) for truth in truths]))


def brier(truth: NDArray[Any], probability: NDArray[Any]) -> float:
    """Mean squared distance between probability and truth."""
    return float(np.mean((probability - truth) ** 2))
