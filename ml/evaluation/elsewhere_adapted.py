"""Measure the gain of adapting a bundle's last layer to some of another hospital's images, over calibrating on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import elsewhere
from ml.evaluation.elsewhere import SEED, SENSITIVITY, SIZES, Floats
from ml.statistics import calibration, correction
from ml.statistics.operating import at_sensitivity

#: The number of draws of images. Each takes most of a second.
DRAWS = 100
#: The smallest number of patients with pneumonia, and of patients without, in a draw.
LEAST = 5


def adapted(
    truth: NDArray[np.int64], odds: Floats, hidden: Floats, patient: NDArray[np.str_], sizes: Sequence[int] = SIZES
) -> dict[str, Any]:
    """Adapt and calibrate on the images of randomly drawn patients, and compare it with calibration alone.

    Both are measured on all other patients.

    Args:
        truth: ``(n,)`` of 0 and 1; -1 if there is no reliable label.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, d)`` its hidden layer.
        patient: ``(n,)`` identifiers.
        sizes: the numbers of images to draw.

    Returns:
        For each size ``draws`` (their number), ``calibrated``, ``adapted`` and ``gain`` (the second minus the first):
        for each figure of :func:`ml.evaluation.elsewhere.measured`, its mean over the draws and their middle 95 %.
    """
    known = truth >= 0
    truth, odds, hidden, patient = truth[known], odds[known], hidden[known], patient[known]
    rng = np.random.default_rng(SEED)
    results: dict[str, Any] = {}
    for size in sizes:
        pairs = [
            _compare(truth, odds, hidden, patient, chosen)
            for chosen in elsewhere.drawn(truth, patient, size, DRAWS, rng)
            if _enough(truth[chosen], patient[chosen])
        ]
        if pairs:
            calibrated, after = zip(*pairs, strict=True)
            gains = [{name: new[name] - old[name] for name in new} for old, new in pairs]
            rows = {"calibrated": calibrated, "adapted": after, "gain": gains}
            results[str(size)] = {
                "draws": len(pairs),
                **{name: elsewhere.summary(figures) for name, figures in rows.items()},
            }
    return results


def _enough(truth: NDArray[np.int64], patient: NDArray[np.str_]) -> bool:
    ill = np.unique(patient[truth == 1])
    return min(len(ill), len(np.setdiff1d(patient, ill))) >= LEAST


def _compare(
    truth: NDArray[np.int64], odds: Floats, hidden: Floats, patient: NDArray[np.str_], chosen: NDArray[np.bool_]
) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of one draw: calibrated only, and adapted and calibrated."""
    layer, cross_fitted = correction.fit_best(truth[chosen], odds[chosen], hidden[chosen], patient[chosen])
    others_odds = odds[~chosen], layer.apply(odds[~chosen], hidden[~chosen])
    results = []
    for chosen_odds, other_odds in zip((odds[chosen], cross_fitted), others_odds, strict=True):
        line = calibration.fit(truth[chosen], calibration.probability(chosen_odds))
        threshold = at_sensitivity(truth[chosen], line.apply(calibration.probability(chosen_odds)), SENSITIVITY)
        results.append(elsewhere.measured(truth[~chosen], line.apply(calibration.probability(other_odds)), threshold))
    return results[0], results[1]
