"""Choose the calibration and the operating points of a trained network on held-out images, and measure it on them."""

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

#: The sensitivity that each operating point reaches on the hardest of the held-out conditions.
SENSITIVITIES = {"balanced": 0.97, "screening": 0.99}
DEFAULT_POINT = "balanced"
#: The group of all held-out images in a report.
EVERYTHING = "all of these together"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """The calibration and operating points chosen on held-out patients.

    Attributes:
        calibration: the calibration of the network's outputs.
        points: the operating points by name; their thresholds are calibrated probabilities.
        expected_calibration_error: cross-fitted, that is with probabilities calibrated on other patients' images.
        expected_calibration_error_before: the same without calibration.
        brier: the Brier score, cross-fitted.
        brier_before: the Brier score without calibration.
        reliability: see :func:`ml.statistics.calibration.reliability`; cross-fitted.
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
        shown: the held-out images, as they are and under hard conditions.
        raw: ``(n,)`` the network's probability of pneumonia for each.
    """
    fitted = calibration.fit(shown.truth, raw)
    cross_fitted = calibration.cross_fitted(shown.truth, raw, shown.patients)
    probability = fitted.apply(raw)
    named_groups = [(name, mask) for name, mask in shown.groups() if shown.truth[mask].any()]
    groups = [mask for _, mask in named_groups]
    points = {
        name: OperatingPoint(
            operating.at_sensitivity_everywhere(shown.truth, probability, groups, sensitivity),
            f"the best specificity with a sensitivity of at least {sensitivity:g} on held-out patients in each of: "
            f"{'; '.join(name for name, _ in named_groups)}",
        )
        for name, sensitivity in SENSITIVITIES.items()
    }
    return Choice(
        fitted,
        points,
        calibration.expected_calibration_error(shown.truth, cross_fitted),
        calibration.expected_calibration_error(shown.truth, raw),
        calibration.brier(shown.truth, cross_fitted),
        calibration.brier(shown.truth, raw),
        calibration.reliability(shown.truth, cross_fitted),
    )


def described(choice: Choice) -> dict[str, Any]:
    """The entries of ``bundle.json`` for a choice."""
    return {
        "threshold": choice.points[DEFAULT_POINT].threshold,
        "operating_points": {key: point.to_json() for key, point in choice.points.items()},
        "operating_point": DEFAULT_POINT,
        "calibration": choice.calibration.to_json(),
    }


def report(shown: Validation, probability: NDArray[Any], choice: Choice) -> dict[str, Any]:
    """The figures of ``held_out`` in ``bundle.json`` that are measured on these images alone.

    Args:
        shown: the images.
        probability: ``(n,)`` the calibrated probability of pneumonia.
        choice: the choice that was made on them.
    """
    threshold = choice.points[DEFAULT_POINT].threshold
    all_images, plain = np.ones(len(shown.truth), dtype=bool), shown.conditions == "plain"
    return {
        "at": DEFAULT_POINT,
        "groups": measure(shown, probability, threshold, [(EVERYTHING, all_images), *shown.groups()]),
        "points": {
            key: measure(shown, probability, point.threshold, [("all", all_images), ("plain", plain)])
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
        probability: ``(n,)`` the calibrated probability of pneumonia.
        threshold: the probability from which an image counts as pneumonia.
        groups: names and masks.

    Returns:
        For each group, the figures of :func:`ml.statistics.metrics.measure` and their 95 % ``intervals`` (see
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
    """The share read correctly of bacterial and viral pneumonias and of each series of normals, by the file names."""
    kinds: dict[str, Callable[[str, str], bool]] = {
        "bacterial pneumonia": lambda name, patient: data.cause_of(name) == "bacteria",
        "viral pneumonia": lambda name, patient: data.cause_of(name) == "virus",
        "normal, series IM": lambda name, patient: data.series_of(patient) == "IM",
        "normal, series NORMAL2-IM": lambda name, patient: data.series_of(patient) == "NORMAL2-IM",
    }
    correct = (probability >= threshold) == (shown.truth == 1)
    shares = {}
    for kind, belongs in kinds.items():
        mask = np.array([belongs(*pair) for pair in zip(shown.names.tolist(), shown.patients.tolist(), strict=True)])
        if mask.any():
            shares[kind] = {"n": int(mask.sum()), "read_rightly": float(correct[mask].mean())}
    return shares


def changed_labels(shown: Validation, probability: NDArray[Any], threshold: float) -> dict[str, dict[str, float]]:
    """For each condition, the share of images whose label differs from that of the unchanged file."""
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
