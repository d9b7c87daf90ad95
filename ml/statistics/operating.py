"""Operating points: thresholds, each with the rule by which it was chosen."""

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
        rule: the rule, in words.
    """

    threshold: float
    rule: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def at_sensitivity(truth: NDArray[Any], probability: NDArray[Any], sensitivity: float) -> float:
    """The highest threshold, rounded down to four digits, whose sensitivity is at least ``sensitivity``.

    Of all thresholds with that sensitivity, the highest has the best specificity.
    """
    positives = np.sort(probability[truth == 1])
    missed = math.floor((1 - sensitivity) * len(positives) + 1e-9)
    # Four digits, since a confident network often has thresholds near 0 or 1.
    return math.floor(float(positives[missed]) * 10_000) / 10_000


def at_sensitivity_everywhere(
    truth: NDArray[Any], probability: NDArray[Any], groups: list[NDArray[np.bool_]], sensitivity: float
) -> float:
    """The highest threshold whose sensitivity is at least ``sensitivity`` in every group, even the worst."""
    return min(at_sensitivity(truth[mask], probability[mask], sensitivity) for mask in groups)
