"""Choose the calibration and the operating points, and measure, on held-out images of a trained network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.dataset import data
from ml.evaluation.robustness import Validation
from ml.statistics import bootstrap, calibration, metrics, operating
from ml.statistics.calibration import Calibration
from ml.statistics.operating import OperatingPoint

#: The sensitivity that each operating point keeps on the hardest of the held-out conditions.
SENSITIVITIES = {"balanced": 0.97, "screening": 0.99}
DEFAULT_POINT = "balanced"
#: The name of all held-out images among the groups of a report.
EVERYTHING = "all of these together"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """The calibration and operating points chosen on held-out patients.

    Attributes:
        calibration: of the network's outputs.
        points: operating points by name, their thresholds being calibrated probabilities.
        expected_calibration_error: of probabilities that were calibrated by other patients' images.
        expected_calibration_error_before: without calibration.
        brier: as ``expected_calibration_error``.
        brier_before: without calibration.
        reliability: see :func:`ml.statistics.calibration.reliability`; calibrated by other patients' images.
    """

    calibration: Calibration
    points: dict[str, OperatingPoint]
    expected_calibration_error: float
    expected_calibration_error_before: float
    brier: float
    brier_before: float
    reliability: list[dict[str, float]]


def choose(shown: Validation, raw: NDArray[Any]) -> Choice:
    """Calibrate, then choose the operating points by their rules.

    Args:
        shown: held-out images, as they are and under hard conditions.
        raw: ``(n,)`` the network's probability of pneumonia for each.
    """
    fitted = calibration.fit(shown.truth, raw)
    crossed = calibration.cross_fitted(shown.truth, raw, shown.patients)
    probability = fitted.apply(raw)
    named = [(name, mask) for name, mask in shown.groups() if shown.truth[mask].any()]
    groups = [mask for _, mask in named]
    points = {
        name: OperatingPoint(
            operating.at_sensitivity_everywhere(shown.truth, probability, groups, wanted),
            f"the best specificity with a sensitivity of at least {wanted:g} on held-out patients in each of: "
            f"{'; '.join(name for name, _ in named)}",
        )
        for name, wanted in SENSITIVITIES.items()
    }
    return Choice(
        fitted,
        points,
        calibration.expected_calibration_error(shown.truth, crossed),
        calibration.expected_calibration_error(shown.truth, raw),
        calibration.brier(shown.truth, crossed),
        calibration.brier(shown.truth, raw),
        calibration.reliability(shown.truth, crossed),
    )


def described(choice: Choice) -> dict[str, Any]:
    """What ``bundle.json`` says of a choice."""
    return {
        "threshold": choice.points[DEFAULT_POINT].threshold,
        "operating_points": {key: point.to_json() for key, point in choice.points.items()},
        "operating_point": DEFAULT_POINT,
        "calibration": choice.calibration.to_json(),
    }


def report(shown: Validation, probability: NDArray[Any], choice: Choice) -> dict[str, Any]:
    """The figures of ``held_out`` in ``bundle.json`` that need no more images than these.

    Args:
        shown: the images.
        probability: ``(n,)`` calibrated probability of pneumonia.
        choice: what was chosen on them.
    """
    threshold = choice.points[DEFAULT_POINT].threshold
    every, plain = np.ones(len(shown.truth), dtype=bool), shown.conditions == "plain"
    return {
        "at": DEFAULT_POINT,
        "groups": measure(shown, probability, threshold, [(EVERYTHING, every), *shown.groups()]),
        "points": {
            key: measure(shown, probability, point.threshold, [("all", every), ("plain", plain)])
            for key, point in choice.points.items()
        },
        "calibration": {
            "expected_calibration_error": choice.expected_calibration_error,
            "expected_calibration_error_before": choice.expected_calibration_error_before,
            "brier": choice.brier,
            "brier_before": choice.brier_before,
        },
        "subgroups": subgroups(shown, probability, threshold),
    }


def measure(
    shown: Validation, probability: NDArray[Any], threshold: float, groups: Iterable[tuple[str, Mask]]
) -> dict[str, dict[str, Any]]:
    """Every figure with its interval, for each group of images.

    Args:
        shown: the images.
        probability: ``(n,)`` calibrated probability of pneumonia.
        threshold: from which an image counts as pneumonia.
        groups: names and masks.

    Returns:
        For each group :func:`ml.statistics.metrics.measure`'s figures and ``intervals`` of 95 % (see
        :mod:`ml.statistics.bootstrap`).
    """
    return {
        name: {
            **metrics.measure(shown.truth[mask], probability[mask], threshold),
            "intervals": bootstrap.intervals(shown.truth[mask], probability[mask], threshold, shown.patients[mask]),
        }
        for name, mask in groups
    }


def subgroups(shown: Validation, probability: NDArray[Any], threshold: float) -> dict[str, dict[str, float]]:
    """The share read rightly among bacterial and viral pneumonias and each series of normals, from the file names."""
    kinds: dict[str, Callable[[str, str], bool]] = {
        "bacterial pneumonia": lambda name, patient: data.cause_of(name) == "bacteria",
        "viral pneumonia": lambda name, patient: data.cause_of(name) == "virus",
        "normal, series IM": lambda name, patient: data.series_of(patient) == "IM",
        "normal, series NORMAL2-IM": lambda name, patient: data.series_of(patient) == "NORMAL2-IM",
    }
    right = (probability >= threshold) == (shown.truth == 1)
    found = {}
    for kind, belongs in kinds.items():
        mask = np.array([belongs(*pair) for pair in zip(shown.names.tolist(), shown.patients.tolist(), strict=True)])
        if mask.any():
            found[kind] = {"n": int(mask.sum()), "read_rightly": float(right[mask].mean())}
    return found


def changed_labels(shown: Validation, probability: NDArray[Any], threshold: float) -> dict[str, dict[str, float]]:
    """For each condition the share of images whose label differs from that of the same file as it is."""
    called = probability >= threshold
    plain = shown.conditions == "plain"
    key = np.char.add(np.char.add(shown.renditions, "/"), shown.names)
    before = dict(zip(key[plain].tolist(), called[plain].tolist(), strict=True))
    result = {}
    for condition in dict.fromkeys(shown.conditions.tolist()):
        mask = shown.conditions == condition
        changed = [before[k] != c for k, c in zip(key[mask].tolist(), called[mask].tolist(), strict=True)]
        result[condition] = {"n": len(changed), "changed": float(np.mean(changed))}
    return result
