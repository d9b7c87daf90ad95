"""What adapting a bundle's last layer to some of another hospital's images brings, beyond calibrating on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import elsewhere
from ml.evaluation.elsewhere import SEED, SENSITIVITY, SIZES, Floats
from ml.statistics import calibration, correction
from ml.statistics.operating import at_sensitivity

#: How often images are drawn: a draw takes most of a second.
DRAWS = 100
#: Patients with a pneumonia, and without, that a draw has at least.
LEAST = 5


def adapted(
    truth: NDArray[np.int64], odds: Floats, hidden: Floats, patient: NDArray[np.str_], sizes: Sequence[int] = SIZES
) -> dict[str, Any]:
    """Adapt and calibrate on images of patients drawn at random, beside calibrating alone, on all other patients'.

    Args:
        truth: ``(n,)`` of 0 and 1; -1 where no label can be relied on.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, d)`` its hidden layer.
        patient: ``(n,)`` identifiers.
        sizes: how many images are drawn.

    Returns:
        By size ``draws`` (how many), ``calibrated``, ``adapted`` and ``gain`` (the second less the first): each figure
        of :func:`ml.evaluation.elsewhere.measured`, its mean over the draws and the middle 95 % of them.
    """
    known = truth >= 0
    truth, odds, hidden, patient = truth[known], odds[known], hidden[known], patient[known]
    rng = np.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for size in sizes:
        pairs = [
            _both(truth, odds, hidden, patient, chosen)
            for chosen in elsewhere.drawn(truth, patient, size, DRAWS, rng)
            if _enough(truth[chosen], patient[chosen])
        ]
        if pairs:
            before, after = zip(*pairs, strict=True)
            gains = [{name: new[name] - old[name] for name in new} for old, new in pairs]
            rows = {"calibrated": before, "adapted": after, "gain": gains}
            found[str(size)] = {
                "draws": len(pairs),
                **{name: elsewhere.summary(figures) for name, figures in rows.items()},
            }
    return found


def _enough(truth: NDArray[np.int64], patient: NDArray[np.str_]) -> bool:
    ill = np.unique(patient[truth == 1])
    return min(len(ill), len(np.setdiff1d(patient, ill))) >= LEAST


def _both(
    truth: NDArray[np.int64], odds: Floats, hidden: Floats, patient: NDArray[np.str_], chosen: NDArray[np.bool_]
) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of one draw: calibrated, and adapted as well."""
    layer, crossed = correction.fit_best(truth[chosen], odds[chosen], hidden[chosen], patient[chosen])
    others = odds[~chosen], layer.apply(odds[~chosen], hidden[~chosen])
    results = []
    for learnt, new in zip((odds[chosen], crossed), others, strict=True):
        line = calibration.fit(truth[chosen], calibration.probability(learnt))
        threshold = at_sensitivity(truth[chosen], line.apply(calibration.probability(learnt)), SENSITIVITY)
        results.append(elsewhere.measured(truth[~chosen], line.apply(calibration.probability(new)), threshold))
    return results[0], results[1]
