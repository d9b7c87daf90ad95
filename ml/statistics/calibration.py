"""Calibration of a network's outputs, and measures of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
#: Probabilities nearer to 0 or 1 count as this near, so that their log-odds are finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: a line through the log-odds.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.

    Attributes:
        method: ``platt``, or ``none``.
        slope: of the log-odds.
        intercept: added to them.
    """

    method: str = "none"
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Calibration":
        known = {key: values[key] for key in ("method", "slope", "intercept") if key in values}
        made = cls(**known)
        if made.method not in ("none", "platt"):
            raise ValueError(f"the calibration {made.method!r}")
        return made

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def apply(self, probability: NDArray[Any]) -> NDArray[Any]:
        """Calibrate probabilities of pneumonia, of any shape."""
        if self.method == "none":
            return probability
        odds = self.slope * logit(probability) + self.intercept
        return np.asarray(1 / (1 + np.exp(-odds)), dtype=probability.dtype)

    def apply_to_outputs(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate ``(n, 2)`` outputs (normal, pneumonia); the two then add up to one."""
        if self.method == "none":
            return outputs
        pneumonia = self.apply(outputs[:, 1])
        return np.stack([1 - pneumonia, pneumonia], axis=1)


def logit(probability: NDArray[Any]) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(probability, dtype=np.float64), EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))


def probability(odds: NDArray[Any]) -> NDArray[np.float64]:
    """The opposite of :func:`logit`, for log-odds of any size."""
    return np.asarray(np.exp(-np.logaddexp(0, -np.asarray(odds, dtype=np.float64))))


def fit(truth: NDArray[Any], probability: NDArray[Any]) -> Calibration:
    """Fit Platt scaling.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        probability: ``(n,)`` probability of pneumonia before calibration.
    """
    from sklearn.linear_model import LogisticRegression  # late: workers apply a calibration and never fit one

    # A weak penalty keeps the slope finite where the classes are perfectly separable.
    line = LogisticRegression(C=100.0).fit(logit(probability)[:, np.newaxis], truth)
    return Calibration("platt", float(line.coef_[0, 0]), float(line.intercept_[0]))


def cross_fitted(
    truth: NDArray[Any], probability: NDArray[Any], groups: NDArray[Any], folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Each probability calibrated by the other patients' images, so that calibration is not measured on what it fitted.

    Args:
        truth: ``(n,)`` of 0 and 1.
        probability: ``(n,)`` before calibration.
        groups: ``(n,)`` patients; a patient is never on both sides.
        folds: how many parts the patients of each class are divided into, fewer where there are fewer patients.
        seed: of the division.

    Raises:
        ValueError: with fewer than two patients of a class.
    """
    part = parts(truth, groups, folds, seed)
    result = np.empty(len(truth))
    for fold in np.unique(part):
        here = part == fold
        result[here] = fit(truth[~here], probability[~here]).apply(probability[here])
    return result


def parts(truth: NDArray[Any], groups: NDArray[Any], folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Divide images by patient, so that each part has about as many patients with a pneumonia, and without.

    Args:
        truth: as for :func:`cross_fitted`, as are the others.

    Returns:
        ``(n,)`` the number of each image's part, the same for all images of a patient.

    Raises:
        ValueError: with fewer than two patients of a class.
    """
    rng = np.random.default_rng(seed)
    ill = np.unique(groups[truth == 1])
    well = np.setdiff1d(groups, ill)
    folds = min(folds, len(ill), len(well))
    if folds < 2:
        raise ValueError("calibration needs at least two held-out patients of each class")
    place: dict[str, int] = {}
    for patients in (well, ill):
        drawn = rng.permutation(np.arange(len(patients)) % folds)
        place |= dict(zip(patients.tolist(), drawn.tolist(), strict=True))
    return np.array([place[patient] for patient in groups.tolist()])


def reliability(truth: NDArray[Any], probability: NDArray[Any]) -> list[dict[str, float]]:
    """For each tenth of the scale that has images: how many, their mean probability, and the share with pneumonia."""
    place = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    return [
        {
            "n": int((place == b).sum()),
            "predicted": float(probability[place == b].mean()),
            "observed": float(truth[place == b].mean()),
        }
        for b in range(BINS)
        if (place == b).any()
    ]


def expected_calibration_error(truth: NDArray[Any], probability: NDArray[Any]) -> float:
    """Mean distance between predicted and observed, weighted by the images in each tenth of the scale.

    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.
    """
    bins = reliability(truth, probability)
    return float(sum(b["n"] * abs(b["predicted"] - b["observed"]) for b in bins) / len(truth))


def error_by_chance(probability: NDArray[Any], rng: np.random.Generator, draws: int = 8) -> float:
    """What :func:`expected_calibration_error` is at the mean where these probabilities are true: of the few images in a
    tenth of the scale, the share with pneumonia is never just what was predicted."""
    truths = rng.random((draws, len(probability))) < probability
    return float(np.mean([expected_calibration_error(truth, probability) for truth in truths]))


def brier(truth: NDArray[Any], probability: NDArray[Any]) -> float:
    """Mean squared distance between probability and truth."""
    return float(np.mean((probability - truth) ** 2))
