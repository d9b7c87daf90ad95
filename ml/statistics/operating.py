"""Operating points: thresholds, each chosen by a rule that is stated."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and the rule that chose it.

    Attributes:
        threshold: probability of pneumonia from which an image is labelled PNEUMONIA.
        rule: in words.
    """

    threshold: float
    rule: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def at_sensitivity(truth: NDArray[Any], probability: NDArray[Any], wanted: float) -> float:
    """The highest threshold, rounded down to four digits, whose sensitivity is at least ``wanted``.

    Of all thresholds with that sensitivity the highest has the best specificity.
    """
    positives = np.sort(probability[truth == 1])
    missed = math.floor((1 - wanted) * len(positives) + 1e-9)
    # Four digits, since thresholds near 0 and 1 are common in a network that is sure of itself.
    return math.floor(float(positives[missed]) * 10_000) / 10_000


def at_sensitivity_everywhere(
    truth: NDArray[Any], probability: NDArray[Any], groups: list[NDArray[np.bool_]], wanted: float
) -> float:
    """The highest threshold whose sensitivity is at least ``wanted`` in every group, so that the worst one decides."""
    return min(at_sensitivity(truth[mask], probability[mask], wanted) for mask in groups)
