"""A correction of a network's log-odds that is linear in its hidden layer, fitted on other images.

It is Platt scaling with more columns: with a strength of 0 only the line of :func:`ml.statistics.calibration.fit` is
left. A penalty on the weights of the hidden layer pulls them back to the released ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.statistics import calibration

#: How far the correction may go, as a part of how freely the line is fitted.
STRENGTHS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """New log-odds: ``slope`` times the network's, plus ``weights`` times the hidden layer, plus ``intercept``.

    Attributes:
        slope: of the network's log-odds.
        weights: ``(d,)``.
        intercept: added.
        strength: of :data:`STRENGTHS`.
    """

    slope: float
    weights: Floats
    intercept: float
    strength: float

    def apply(self, odds: Floats, hidden: Floats) -> Floats:
        """The new log-odds, ``(n,)``.

        Args:
            odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
            hidden: ``(n, d)`` its hidden layer.
        """
        return self.slope * odds + hidden @ self.weights + self.intercept


def fit(truth: NDArray[np.integer[Any]], odds: Floats, hidden: Floats, strength: float) -> Correction:
    """Fit a correction of one strength.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, d)`` its hidden layer.
        strength: from 0 up.
    """
    from sklearn.linear_model import LogisticRegression  # late: workers fit nothing

    middle = hidden.mean(axis=0)
    spread = np.sqrt(((hidden - middle) ** 2).sum(axis=1).mean())
    scale = np.sqrt(strength) / max(float(spread), 1e-9)
    columns = np.column_stack([odds, (hidden - middle) * scale]) if strength else odds[:, np.newaxis]
    line = LogisticRegression(C=100.0, max_iter=1000).fit(columns, truth)
    weights = line.coef_[0, 1:] * scale if strength else np.zeros(hidden.shape[1])
    return Correction(float(line.coef_[0, 0]), weights, float(line.intercept_[0] - middle @ weights), strength)


def chosen(
    truth: NDArray[np.integer[Any]], odds: Floats, hidden: Floats, patients: NDArray[np.str_]
) -> tuple[Correction, Floats]:
    """Fit a correction of the strength that suits the images of other patients best, by the logarithmic loss.

    Args:
        truth: as for :func:`fit`, as are the others.
        patients: ``(n,)`` identifiers.

    Returns:
        The correction, and ``(n,)`` the new log-odds of each image by a correction of that strength which has not seen
        its patient. Where a line alone suits best, which is calibration's to fit, the log-odds stay as they are.
    """
    part = calibration.parts(truth, patients)
    crossed = {strength: np.empty(len(truth)) for strength in STRENGTHS}
    for strength, values in crossed.items():
        for fold in np.unique(part):
            here = part == fold
            values[here] = fit(truth[~here], odds[~here], hidden[~here], strength).apply(odds[here], hidden[here])
    losses = {strength: np.logaddexp(0, (1 - 2 * truth) * values).mean() for strength, values in crossed.items()}
    best = min(losses, key=lambda strength: losses[strength])
    if not best:
        return Correction(1.0, np.zeros(hidden.shape[1]), 0.0, best), odds
    return fit(truth, odds, hidden, best), crossed[best]
