"""Paired comparison of two models on the same patients."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from ml.statistics import bootstrap

#: A McNemar test with a p below this counts as a difference between the labels.
SIGNIFICANT = 0.05
#: Figures that decide which model is better: agreement of the labels with the truth, and order of the images.
DECIDING = ("accuracy", "roc_auc")
NAMES = {"f1": "F1", "roc_auc": "ROC AUC"}


@dataclass(frozen=True)
class Reading:
    """One model's probability and label for each image.

    Attributes:
        name: the model's name.
        probability: ``(n,)`` probability of pneumonia.
        threshold: probability from which an image counts as pneumonia; ``(n,)`` if the images have different ones.
    """

    name: str
    probability: NDArray[Any]
    threshold: float | NDArray[Any]

    def right(self, truth: NDArray[Any]) -> NDArray[np.bool_]:
        """Which labels agree with the truth."""
        return np.asarray((self.probability >= self.threshold) == (truth == 1))

    def only(self, chosen: NDArray[Any]) -> "Reading":
        """The reading of some of the images, given by a mask or by indices."""
        thresholds = np.broadcast_to(self.threshold, self.probability.shape)
        return replace(self, probability=self.probability[chosen], threshold=thresholds[chosen])


Measure = Callable[[NDArray[Any], NDArray[Any], Any], dict[str, float]]


def compare(
    truth: NDArray[Any],
    first: Reading,
    second: Reading,
    patients: NDArray[Any],
    *,
    rounds: int = bootstrap.ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare the second model with the first on the same images.

    Args:
        truth: ``(n,)`` of 0 and 1, both present.
        first: the reading to compare with, such as that of the current bundle.
        second: the other reading, such as that of a new bundle.
        patients: ``(n,)`` identifiers.
        rounds: number of draws of patients.
        seed: of the draws.

    Returns:
        ``first`` and ``second`` (names), ``differences`` (second minus first: ``value`` and 95 % ``interval`` for each
        figure of :func:`ml.statistics.bootstrap.figures`, both models measured on the same draws of patients),
        ``mcnemar`` (see :func:`mcnemar`), ``better`` (a name, or None) and ``verdict`` (a sentence).
    """
    differences = differences_of(truth, first, second, patients, rounds=rounds, seed=seed)
    labels = mcnemar(first.right(truth), second.right(truth))
    better, verdict = _verdict(first.name, second.name, differences, labels["p"])
    return {"first": first.name, "second": second.name, "differences": differences, "mcnemar": labels,
            "better": better, "verdict": verdict}  # fmt: skip


def differences_of(
    truth: NDArray[Any],
    first: Reading,
    second: Reading,
    patients: NDArray[Any],
    measure: Measure = bootstrap.figures,
    *,
    rounds: int = bootstrap.ROUNDS,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The second reading's figures minus the first one's, as in :func:`compare`.

    Args:
        truth: as for :func:`compare`, like the other arguments.
        measure: computes figures from truth, probability and threshold.

    Returns:
        For each figure its ``value`` and 95 % ``interval``, both measured on the same draws of patients.
    """

    def differences(truth: NDArray[Any], *readings: Reading) -> dict[str, float]:
        first_figures, second_figures = (measure(truth, reading.probability, reading.threshold) for reading in readings)
        return {name: float(second_figures[name] - first_figures[name]) for name in first_figures}

    by_draw = [
        differences(truth[chosen], first.only(chosen), second.only(chosen))
        for chosen in bootstrap.draws(truth, patients, rounds, seed)
    ]
    return {
        name: {"value": value, "interval": bootstrap.interval([draw[name] for draw in by_draw])}
        for name, value in differences(truth, first, second).items()
    }


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> dict[str, Any]:
    """McNemar's exact test: do both models label the same number of images correctly?

    The test assumes independent images, which those of one patient are not, so a verdict also needs the interval.
    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947.

    Args:
        first_right: ``(n,)`` which labels of the first model are right.
        second_right: ``(n,)`` which labels of the second model are right.

    Returns:
        ``only_first_right`` and ``only_second_right`` (counts), and ``p``, two-sided.
    """
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    disagreements = only_first + only_second
    p = float(binomtest(only_second, disagreements, 0.5).pvalue) if disagreements else 1.0
    return {"only_first_right": only_first, "only_second_right": only_second, "p": p}


def _verdict(first: str, second: str, differences: dict[str, Any], p: float) -> tuple[str | None, str]:
    """The better model's name, or None, and a sentence about it."""
    sign = {name: _sign(difference["interval"]) for name, difference in differences.items()}
    deciding = {name: sign[name] for name in DECIDING}
    if p >= SIGNIFICANT:
        deciding["accuracy"] = 0
    ahead = {side: [name for name, value in deciding.items() if value == side] for side in (1, -1)}
    if ahead[1] and ahead[-1]:
        return None, (
            f"Neither is better in everything: {second} has the higher {_listed(ahead[1], differences)}, "
            f"{first} the higher {_listed(ahead[-1], differences)}."
        )
    if not ahead[1] and not ahead[-1]:
        return None, f"The data do not show which of {first} and {second} is better."
    side = 1 if ahead[1] else -1
    winner, loser = (second, first) if side == 1 else (first, second)
    lower = [name for name, value in sign.items() if value == -side and name not in ahead[side]]
    verdict = f"{winner} is better than {loser}: {_listed(ahead[side], differences)}"
    return winner, verdict + (f"; yet its {_listed(lower, differences)} is lower." if lower else ".")


def _sign(interval: tuple[float, float]) -> int:
    return 1 if interval[0] > 0 else -1 if interval[1] < 0 else 0


def _listed(names: list[str], differences: dict[str, Any]) -> str:
    return " and ".join(
        f"{NAMES.get(name, name)} ({differences[name]['value']:+.4f}, {differences[name]['interval'][0]:+.4f} to "
        f"{differences[name]['interval'][1]:+.4f})"
        for name in names
    )
