"""A correction of a network's log-odds that is linear in its hidden layer, fitted on other images.

It is Platt scaling with more columns. With a strength of 0, it is the line of :func:`ml.statistics.calibration.fit`. A
penalty on the weights of the hidden layer pulls the corrected network towards the released one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.statistics import calibration

#: How freely the weights of the hidden layer are fitted, relative to the line.
STRENGTHS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """New log-odds: ``slope`` times the network's, plus ``weights`` times the hidden layer, plus ``intercept``.

    Attributes:
        slope: factor of the network's log-odds.
        weights: ``(d,)`` factors of the hidden layer.
        intercept: constant.
        strength: one of :data:`STRENGTHS`.
    """

    slope: float
    weights: Floats
    intercept: float
    strength: float

    def apply(self, odds: Floats, hidden: Floats) -> Floats:
        """Return the new log-odds, ``(n,)``.

        Args:
            odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
            hidden: ``(n, d)`` its hidden layer.
        """
        return self.slope * odds + hidden @ self.weights + self.intercept


def fit(truth: NDArray[np.integer[Any]], odds: Floats, hidden: Floats, strength: float) -> Correction:
    """Fit a correction with the given strength.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, d)`` its hidden layer.
        strength: 0 or more.
    """
    from sklearn.linear_model import LogisticRegression  # late: workers never fit a correction

    mean = hidden.mean(axis=0)
    spread = np.sqrt(((hidden - mean) ** 2).sum(axis=1).mean())
    scale = np.sqrt(strength) / max(float(spread), 1e-9)
    columns = np.column_stack([odds, (hidden - mean) * scale]) if strength else odds[:, np.newaxis]
    line = LogisticRegression(C=100.0, max_iter=1000).fit(columns, truth)
    weights = line.coef_[0, 1:] * scale if strength else np.zeros(hidden.shape[1])
    return Correction(float(line.coef_[0, 0]), weights, float(line.intercept_[0] - mean @ weights), strength)


def fit_best(
    truth: NDArray[np.integer[Any]], odds: Floats, hidden: Floats, patients: NDArray[np.str_]
) -> tuple[Correction, Floats]:
    """Fit a correction with the strength that has the lowest logarithmic loss on images of other patients.

    Args:
        truth: as for :func:`fit`, like ``odds`` and ``hidden``.
        patients: ``(n,)`` identifiers.

    Returns:
        The correction, and ``(n,)`` new log-odds: those of each image come from a correction of that strength that was
        fitted without its patient. If strength 0 is best, the log-odds stay unchanged, since calibration fits the line.
    """
    part = calibration.parts(truth, patients)
    by_strength = {strength: np.empty(len(truth)) for strength in STRENGTHS}
    for strength, values in by_strength.items():
        for fold in np.unique(part):
            in_fold = part == fold
            values[in_fold] = fit(truth[~in_fold], odds[~in_fold], hidden[~in_fold], strength).apply(
                odds[in_fold], hidden[in_fold]
            )
    losses = {strength: np.logaddexp(0, (1 - 2 * truth) * values).mean() for strength, values in by_strength.items()}
    best = min(losses, key=lambda strength: losses[strength])
    if not best:
        return Correction(1.0, np.zeros(hidden.shape[1]), 0.0, best), odds
    return fit(truth, odds, hidden, best), by_strength[best]
