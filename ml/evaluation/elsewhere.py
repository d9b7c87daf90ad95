"""Measure a bundle on other hospitals' chests and on its own held-out patients: answers, evidence, certainty and
calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.statistics import bootstrap, calibration
from ml.statistics.operating import at_sensitivity

#: The numbers of another hospital's images that a bundle is calibrated on, and the number of draws.
SIZES, DRAWS = (50, 100, 200), 500
#: The sensitivity that the threshold is chosen for.
SENSITIVITY = 0.85
#: The shares of images that get an answer, the most certain ones first.
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
SEED = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chests:
    """Chests of one origin and a bundle's answers for them.

    Attributes:
        truth: ``(n,)`` of 0 and 1; -1 if there is no reliable label.
        probability: ``(n,)`` the calibrated probability of pneumonia.
        patient: ``(n,)`` identifiers.
        distance: ``(n,)`` the distance from the network's training X-rays; 1 is the limit.
        spread: ``(n,)`` the standard deviation of the log-odds when the picture is framed slightly differently.
        inside: ``(n,)`` the share of the map on the lungs; NaN if unknown.
        peak: ``(n,)`` whether the peak of the map is on the lungs.
        hidden: ``(n, d)`` the hidden layer; d is 0 if the engine does not provide it.
    """

    truth: NDArray[np.int64]
    probability: Floats
    patient: NDArray[np.str_]
    distance: Floats
    spread: Floats
    inside: Floats
    peak: NDArray[np.bool_]
    hidden: NDArray[np.float32]


def answers(chests: Chests, threshold: float) -> dict[str, Any]:
    """How a threshold labels chests of one origin.

    Returns:
        ``n``, the number ``labelled``, and the share ``called`` pneumonia. If both classes are labelled: ``roc_auc``,
        ``recall``, ``specificity`` and their ``intervals`` over patients. If only one is: ``recall`` or
        ``specificity``.
    """
    labelled = chests.truth >= 0
    truth, probability, patient = chests.truth[labelled], chests.probability[labelled], chests.patient[labelled]
    figures: dict[str, Any] = {
        "n": len(chests.truth),
        "labelled": int(labelled.sum()),
        "called": float((chests.probability >= threshold).mean()),
    }
    measured = bootstrap.figures(truth, probability, threshold) if len(truth) else {}
    positives = int((truth == 1).sum())
    both = 0 < positives < len(truth)
    names = (
        ("roc_auc", "recall", "specificity")
        if both
        else ("recall",)
        if positives
        else ("specificity",) * bool(len(truth))
    )
    figures |= {name: float(measured[name]) for name in names}
    if both:
        drawn = bootstrap.intervals(truth, probability, threshold, patient)
        figures["intervals"] = {name: list(drawn[name]) for name in names}
    return figures


def evidence(chests: Chests, threshold: float) -> dict[str, float]:
    """Where the evidence lies in images that are called pneumonia and whose lungs were found.

    Returns:
        ``n``, the share of images with the peak of the map on the lungs, and the median share of the map there.
    """
    called = (chests.probability >= threshold) & ~np.isnan(chests.inside)
    if not called.any():
        return {"n": 0}
    return {
        "n": int(called.sum()),
        "peak_inside": float(chests.peak[called].mean()),
        "median_inside": float(np.median(chests.inside[called])),
    }


def certainties(chests: Chests, threshold: float) -> dict[str, Floats]:
    """Measures of how certain an answer is; larger is more certain.

    ``probability`` is how far the log-odds are from those of the threshold. ``shifts`` is the same minus twice their
    spread when the picture is framed differently. By ``distance``, images near to the training X-rays are more certain.
    ``ranks`` is the mean of the three orders. Only ``probability`` is returned if another value is unknown.
    """
    margin = np.abs(calibration.logit(chests.probability) - calibration.logit(np.array(threshold)))
    measures = {"probability": margin, "shifts": margin - 2 * chests.spread, "distance": -chests.distance}
    if any(np.isnan(values).any() for values in measures.values()):
        return {"probability": margin}
    orders = [values.argsort().argsort() for values in measures.values()]
    return {**measures, "ranks": np.mean(orders, axis=0)}


def errors(wrong: NDArray[np.bool_], certainty: Floats) -> Floats:
    """The share of wrong answers among the k most certain ones, for k from 1 to n, ``(n,)``."""
    ordered = wrong[np.argsort(-certainty, kind="stable")]
    return np.asarray(np.cumsum(ordered) / np.arange(1, len(ordered) + 1))


def coverage(chests: Chests, threshold: float) -> dict[str, dict[str, Any]]:
    """How many answers are wrong if only the more certain images get an answer.

    Source of the area under this curve: Geifman et al., "Bias-reduced uncertainty estimation for deep neural
    classifiers", 2019.

    Returns:
        For each measure of :func:`certainties`: the ``area`` under the curve, the ``errors`` at each of
        :data:`COVERAGES` with their ``intervals``, and ``gain``: the 95 % interval, over patients, of the reduction of
        the area compared with the probability alone.
    """
    labelled = chests.truth >= 0
    truth, patient = chests.truth[labelled], chests.patient[labelled]
    wrong = (chests.probability[labelled] >= threshold) != (truth == 1)
    drawn = list(bootstrap.draws(truth, patient, bootstrap.ROUNDS // 4, SEED))
    results: dict[str, dict[str, Any]] = {}
    alone: list[float] = []
    for kind, values in certainties(chests, threshold).items():
        certain = values[labelled]
        curve, curves = errors(wrong, certain), [errors(wrong[d], certain[d]) for d in drawn]
        areas = [float(drawn_curve.mean()) for drawn_curve in curves]
        alone = alone or areas  # the areas of "probability", which comes first
        results[kind] = {
            "area": float(curve.mean()),
            "errors": {str(share): _at(curve, share) for share in COVERAGES},
            "intervals": {
                str(share): list(bootstrap.interval([_at(drawn_curve, share) for drawn_curve in curves]))
                for share in COVERAGES
            },
            "gain": list(
                bootstrap.interval([drawn_curve - other for drawn_curve, other in zip(alone, areas, strict=True)])
            ),
        }
    return results


def _at(curve: Floats, share: float) -> float:
    """The error rate among this share of the images."""
    return float(curve[max(1, round(share * len(curve))) - 1])


def calibrated(chests: Chests, threshold: float, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Calibrate a bundle on some of another hospital's images, and measure it on the others.

    Platt scaling and the highest threshold that reaches a sensitivity of :data:`SENSITIVITY` are chosen on the images
    of randomly drawn patients, and measured on all other patients. ``released`` is the unchanged bundle on the same
    other patients.

    Returns:
        For ``released`` and each size, the mean over the draws and the middle 95 % of them, for each figure of
        :func:`measured` and for ``chance``, the calibration error that true probabilities would have on as many images.
    """
    labelled = chests.truth >= 0
    truth, probability, patient = chests.truth[labelled], chests.probability[labelled], chests.patient[labelled]
    rng = np.random.default_rng(SEED)
    rows: dict[str, list[dict[str, float]]] = {}
    for size in sizes:
        for chosen in drawn(truth, patient, size, DRAWS, rng):
            line = calibration.fit(truth[chosen], probability[chosen])
            local = line.apply(probability)
            local_threshold = at_sensitivity(truth[chosen], local[chosen], SENSITIVITY)
            for name, probabilities, cutoff in (
                (str(size), local, local_threshold),
                ("released", probability, threshold),
            ):
                chance = calibration.error_by_chance(probabilities[~chosen], rng)
                rows.setdefault(name, []).append(
                    {**measured(truth[~chosen], probabilities[~chosen], cutoff), "chance": chance}
                )
    return {name: summary(figures) for name, figures in rows.items()}


def drawn(
    truth: NDArray[np.int64], patient: NDArray[np.str_], size: int, count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """Draw random patients until they have ``size`` images, and yield which images are theirs, ``(n,)``.

    A draw is skipped if a class is missing among the drawn or the other images.
    """
    names, images = np.unique(patient, return_counts=True)
    for _ in range(count):
        order = rng.permutation(len(names))
        enough = int(np.searchsorted(np.cumsum(images[order]), size)) + 1
        chosen = np.isin(patient, names[order[:enough]])
        if min(len(np.unique(truth[chosen])), len(np.unique(truth[~chosen]))) == 2:
            yield chosen


def measured(truth: NDArray[np.int64], probability: Floats, threshold: float | Floats) -> dict[str, float]:
    """ROC AUC, Brier score, calibration error, sensitivity and specificity; ``threshold`` may be ``(n,)``."""
    figures = bootstrap.figures(truth, probability, threshold)
    return {
        "roc_auc": float(figures["roc_auc"]),
        "ece": calibration.expected_calibration_error(truth, probability),
        "brier": calibration.brier(truth, probability),
        "recall": float(figures["recall"]),
        "specificity": float(figures["specificity"]),
    }


def summary(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """For each figure, the mean over the draws and the range of their middle 95 %."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: [float(np.mean(values)), *bootstrap.interval(values)] for name, values in columns.items()}
