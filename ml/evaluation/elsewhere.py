"""A bundle on other hospitals' chests, beside its own held-out patients: answers, evidence, doubts, calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.statistics import bootstrap, calibration
from ml.statistics.operating import at_sensitivity

#: Images of another hospital on which a bundle is calibrated, and how often they are drawn.
SIZES, DRAWS = (50, 100, 200), 500
#: The sensitivity for which a threshold is chosen on them.
SENSITIVITY = 0.85
#: Shares of the images that are answered, the most certain ones first.
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
SEED = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chests:
    """Chests of one origin and what a bundle says of them.

    Attributes:
        truth: ``(n,)`` of 0 and 1, -1 where no label can be relied on.
        probability: ``(n,)`` of pneumonia, calibrated.
        patient: ``(n,)`` identifiers.
        distance: ``(n,)`` from the X-rays that the network learnt from, 1 being the limit.
        spread: ``(n,)`` standard deviation of the log-odds when the picture is framed a little otherwise.
        inside: ``(n,)`` share of the map on the lungs; NaN where it is not known.
        peak: ``(n,)`` whether the map's strongest place is there.
        hidden: ``(n, d)`` the hidden layer; d is 0 where the engine does not give it.
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
        ``n``; the share ``called`` pneumonia; where both classes are labelled ``roc_auc``, ``recall``, ``specificity``
        and their ``intervals`` over patients; where one is, ``recall`` or ``specificity``.
    """
    known = chests.truth >= 0
    truth, probability, patient = chests.truth[known], chests.probability[known], chests.patient[known]
    found: dict[str, Any] = {
        "n": len(chests.truth),
        "labelled": int(known.sum()),
        "called": float((chests.probability >= threshold).mean()),
    }
    measured = bootstrap.figures(truth, probability, threshold) if len(truth) else {}
    positives = int((truth == 1).sum())
    both = 0 < positives < len(truth)
    wanted = (
        ("roc_auc", "recall", "specificity")
        if both
        else ("recall",)
        if positives
        else ("specificity",) * bool(len(truth))
    )
    found |= {name: float(measured[name]) for name in wanted}
    if both:
        drawn = bootstrap.intervals(truth, probability, threshold, patient)
        found["intervals"] = {name: list(drawn[name]) for name in wanted}
    return found


def evidence(chests: Chests, threshold: float) -> dict[str, float]:
    """Where the evidence of images that are called pneumonia lies, of those whose lungs were found.

    Returns:
        ``n``, the share of them whose strongest place is on the lungs, and the median share of the map there.
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
    """How certain an answer is, by what is known of the image; larger is more certain.

    ``probability`` is how far the log-odds are from the threshold's; ``shifts`` the same less twice their spread when
    the picture is framed otherwise; by ``distance`` what is near to the X-rays that were learnt from is the more
    certain; ``ranks`` is the mean of the three orders. What is not known is left out.
    """
    far = np.abs(calibration.logit(chests.probability) - calibration.logit(np.array(threshold)))
    found = {"probability": far, "shifts": far - 2 * chests.spread, "distance": -chests.distance}
    if any(np.isnan(values).any() for values in found.values()):
        return {"probability": far}
    orders = [values.argsort().argsort() for values in found.values()]
    return {**found, "ranks": np.mean(orders, axis=0)}


def errors(wrong: NDArray[np.bool_], certainty: Floats) -> Floats:
    """The share of wrong answers among the so many most certain ones, from one to all of them, ``(n,)``."""
    ordered = wrong[np.argsort(-certainty, kind="stable")]
    return np.asarray(np.cumsum(ordered) / np.arange(1, len(ordered) + 1))


def coverage(chests: Chests, threshold: float) -> dict[str, dict[str, Any]]:
    """How many answers are wrong where only the more certain images are answered.

    Source of the area under this curve: Geifman et al., "Bias-reduced uncertainty estimation for deep neural
    classifiers", 2019.

    Returns:
        By the kind of :func:`certainties`: ``area`` under the curve, ``errors`` at each of :data:`COVERAGES` with
        their ``intervals``, and ``gain``: the 95 % interval, over patients, of by how much the area is below that of
        the probability alone.
    """
    known = chests.truth >= 0
    truth, patient = chests.truth[known], chests.patient[known]
    wrong = (chests.probability[known] >= threshold) != (truth == 1)
    drawn = list(bootstrap.draws(truth, patient, bootstrap.ROUNDS // 4, SEED))
    found: dict[str, dict[str, Any]] = {}
    alone: list[float] = []
    for kind, values in certainties(chests, threshold).items():
        certain = values[known]
        curve, curves = errors(wrong, certain), [errors(wrong[d], certain[d]) for d in drawn]
        areas = [float(one.mean()) for one in curves]
        alone = alone or areas  # those of the probability, which is the first
        found[kind] = {
            "area": float(curve.mean()),
            "errors": {str(share): _at(curve, share) for share in COVERAGES},
            "intervals": {
                str(share): list(bootstrap.interval([_at(one, share) for one in curves])) for share in COVERAGES
            },
            "gain": list(bootstrap.interval([one - other for one, other in zip(alone, areas, strict=True)])),
        }
    return found


def _at(curve: Floats, share: float) -> float:
    """The errors among this share of the images."""
    return float(curve[max(1, round(share * len(curve))) - 1])


def calibrated(chests: Chests, threshold: float, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """What comes back where a bundle is calibrated on some of another hospital's images, measured on the others.

    Platt scaling and the highest threshold that keeps a sensitivity of :data:`SENSITIVITY` are chosen on images of
    patients drawn at random, and measured on all other patients'. ``released`` is the bundle as it is, on the same
    others.

    Returns:
        By ``released`` and each size, each figure's mean over the draws and the range of the middle 95 % of them:
        those of :func:`measured`, and ``chance``, the calibration error that true probabilities would have on so many
        images.
    """
    known = chests.truth >= 0
    truth, probability, patient = chests.truth[known], chests.probability[known], chests.patient[known]
    rng = np.random.default_rng(SEED)
    rows: dict[str, list[dict[str, float]]] = {}
    for size in sizes:
        for chosen in drawn(truth, patient, size, DRAWS, rng):
            line = calibration.fit(truth[chosen], probability[chosen])
            local = line.apply(probability)
            own = at_sensitivity(truth[chosen], local[chosen], SENSITIVITY)
            for name, said, at in ((str(size), local, own), ("released", probability, threshold)):
                chance = calibration.error_by_chance(said[~chosen], rng)
                rows.setdefault(name, []).append({**measured(truth[~chosen], said[~chosen], at), "chance": chance})
    return {name: summary(found) for name, found in rows.items()}


def drawn(
    truth: NDArray[np.int64], patient: NDArray[np.str_], size: int, count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """Patients drawn at random until they have ``size`` images: which images are theirs, ``(n,)``. A draw that leaves a
    class out, on either side, is left out."""
    names, images = np.unique(patient, return_counts=True)
    for _ in range(count):
        order = rng.permutation(len(names))
        enough = int(np.searchsorted(np.cumsum(images[order]), size)) + 1
        chosen = np.isin(patient, names[order[:enough]])
        if min(len(np.unique(truth[chosen])), len(np.unique(truth[~chosen]))) == 2:
            yield chosen


def measured(truth: NDArray[np.int64], probability: Floats, threshold: float | Floats) -> dict[str, float]:
    """ROC AUC, Brier score, calibration error, sensitivity and specificity; ``threshold`` may be ``(n,)``."""
    found = bootstrap.figures(truth, probability, threshold)
    return {
        "roc_auc": float(found["roc_auc"]),
        "ece": calibration.expected_calibration_error(truth, probability),
        "brier": calibration.brier(truth, probability),
        "recall": float(found["recall"]),
        "specificity": float(found["specificity"]),
    }


def summary(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """Each figure's mean over the draws, and the range of the middle 95 % of them."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: [float(np.mean(values)), *bootstrap.interval(values)] for name, values in columns.items()}
