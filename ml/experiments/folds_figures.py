"""Figures by which recipes are compared, from their trainings' answers (:mod:`ml.experiments.folds`)."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.dataset import external
from ml.evaluation import elsewhere, robustness
from ml.evaluation.elsewhere import Chests
from ml.evaluation.elsewhere_report import NIH, part
from ml.experiments.folds import BLOCK, OWN, Answers
from ml.statistics import calibration, metrics

#: The sensitivity at which specificities are compared: on own patients, and on other hospitals'.
OWN_SENSITIVITY, EXTERNAL_SENSITIVITY = 0.97, 0.85


def text(folds: Sequence[Answers]) -> str:
    """The figures for people."""
    return "\n".join(f"  {name:<48} {value:.4f}" for name, value in figures(folds).items())


def figures(folds: Sequence[Answers]) -> dict[str, float]:
    """The figures of a recipe, from trainings that held out different patients.

    Own patients and blocks: the mean over the trainings, and the worst block. Other hospitals: all trainings' answers
    together, the log-odds counted from each training's own threshold.
    """
    found: dict[str, list[float]] = {}
    levelled = []
    for fold in folds:
        own, block = fold.origin == OWN, (fold.origin == BLOCK) | ((fold.origin == OWN) & (fold.truth == 1))
        groups, edge = _groups(fold), _edge(fold)
        plain = own & (fold.condition == "plain")
        called = fold.score >= edge
        found.setdefault("own, AUC", []).append(_auc(fold.where(own)))
        found.setdefault("own, worst group's AUC", []).append(
            min(_auc(fold.where(group)) for group in groups if len(set(fold.truth[group].tolist())) > 1)
        )
        found.setdefault("own, accuracy, plain", []).append(float((called == fold.truth)[plain].mean()))
        found.setdefault("own, recall, plain", []).append(float(called[plain & (fold.truth == 1)].mean()))
        found.setdefault("own, specificity", []).append(float((~called)[own & (fold.truth == 0)].mean()))
        found.setdefault("block, AUC", []).append(_auc(fold.where(block)))
        found.setdefault("block, specificity", []).append(float((~called)[fold.origin == BLOCK].mean()))
        found.setdefault("twins, labels that differ", []).append(_differing(fold.where(plain), edge))
        positive = plain & (fold.truth == 1) & called
        found.setdefault("own, evidence inside", []).append(float(np.median(fold.inside[positive])))
        found.setdefault("own, peak inside", []).append(float(fold.peak_inside[positive].mean()))
        elsewhere = ~np.isin(fold.origin, (OWN, BLOCK))
        levelled.append((fold.where(elsewhere), fold.score[elsewhere] - edge))
    result = {name: float(np.mean(values)) for name, values in found.items()}
    result["worst block, AUC"] = min(found["block, AUC"])
    return {**result, **_elsewhere([each for each, _ in levelled], np.concatenate([score for _, score in levelled]))}


def doubts(folds: Sequence[Answers]) -> dict[str, Any]:
    """How many answers are wrong where only the more certain ones are given, and what calibrating on another hospital's
    images brings.

    Each training is calibrated on its own patients, as a bundle is; its log-odds are moved so that all of them have one
    threshold. How far an image is from what was learnt, and how its answer moves with its framing, is not known here.

    Returns:
        ``coverage`` and ``calibrated`` as :func:`ml.evaluation.elsewhere_report.measure` gives them.
    """
    lines = [calibration.fit(own.truth, _probability(own.score)) for own in (f.where(f.origin == OWN) for f in folds)]
    edges = [line.slope * _edge(fold) + line.intercept for fold, line in zip(folds, lines, strict=True)]
    at = float(np.mean(edges))
    odds = [
        line.slope * fold.score + line.intercept - edge + at
        for fold, line, edge in zip(folds, lines, edges, strict=True)
    ]
    every, threshold = _together(folds), float(_probability(np.array(at)))
    unknown = np.full(len(every.truth), np.nan)
    chests = Chests(
        every.truth, _probability(np.concatenate(odds)), every.patient, unknown, unknown, every.inside,
        every.peak_inside, np.zeros((len(every.truth), 0), np.float32),
    )  # fmt: skip
    groups = {
        "own": (every.origin == OWN) & (every.condition == "plain"),
        NIH: every.origin == NIH,
        f"{NIH}, read by radiologists": (every.origin == NIH) & (every.quality == external.EXPERT),
        "other hospitals together": ~np.isin(every.origin, (OWN, BLOCK)),
    }
    parts = {name: part(chests, mask) for name, mask in groups.items() if set(every.truth[mask].tolist()) >= {0, 1}}
    return {
        "coverage": {name: elsewhere.coverage(found, threshold) for name, found in parts.items()},
        "calibrated": {
            name: found
            for name in (NIH, "other hospitals together")
            if name in parts and (found := elsewhere.calibrated(parts[name], threshold))  # empty of too few images
        },
    }


def _together(folds: Sequence[Answers]) -> Answers:
    return Answers(**{field.name: np.concatenate([getattr(f, field.name) for f in folds]) for field in fields(Answers)})


def _groups(fold: Answers) -> list[NDArray[np.bool_]]:
    return [
        (fold.origin == OWN) & (fold.condition == condition) & (fold.rendition == rendition)
        for condition in robustness.BRIEF
        for rendition in ("small", "large")
    ]


def _edge(fold: Answers) -> float:
    """As `balanced` is chosen: the highest threshold, in log-odds, that keeps its sensitivity in each of the groups."""
    ill = [group & (fold.truth == 1) for group in _groups(fold)]
    return min(float(np.quantile(fold.score[group], 1 - OWN_SENSITIVITY)) for group in ill if group.any())


def _elsewhere(folds: Sequence[Answers], score: NDArray[np.float64]) -> dict[str, float]:
    """Figures of other hospitals' chests; ``score`` counts from each training's threshold."""
    if not len(score):
        return {}
    every = _together(folds)
    found: dict[str, float] = {}
    nih = every.origin == NIH
    for name, mask in (("experts", nih & (every.quality == external.EXPERT)), ("all", nih)):
        truth = np.where(every.stated == "normal", 0, np.where(every.stated == "pneumonia", 1, -1))
        known = mask & (truth >= 0)
        if len(set(truth[known].tolist())) < 2:
            continue
        found[f"NIH, {name}, AUC"] = metrics.measure(truth[known], _probability(score[known]), 0.5)["roc_auc"]
        at = np.quantile(score[known & (truth == 1)], 1 - EXTERNAL_SENSITIVITY)
        found[f"NIH, {name}, specificity at {EXTERNAL_SENSITIVITY}"] = float((score < at)[known & (truth == 0)].mean())
        found[f"NIH, {name}, sensitivity at own threshold"] = float((score >= 0)[known & (truth == 1)].mean())
        found[f"NIH, {name}, specificity at own threshold"] = float((score < 0)[known & (truth == 0)].mean())
    for source in sorted(set(every.origin.tolist()) - {NIH}):
        for label, name in ((0, "normals called normal"), (1, "pneumonias called so")):
            mask = (every.origin == source) & (every.truth == label)
            if mask.any():
                found[f"{source}, {name}"] = float(((score >= 0) == bool(label))[mask].mean())
    positive = (every.truth == 1) & (score >= 0)
    if positive.any():
        found["elsewhere, evidence inside"] = float(np.median(every.inside[positive]))
        found["elsewhere, peak inside"] = float(every.peak_inside[positive].mean())
    return found


def _auc(fold: Answers) -> float:
    return metrics.measure(fold.truth, _probability(fold.score), 0.5)["roc_auc"]


def _probability(score: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(score, -30, 30)))


def _differing(fold: Answers, edge: float) -> float:
    """The share of files of both renditions whose two labels differ; NaN where all have one size."""
    called: dict[str, dict[str, bool]] = {}
    for name, rendition, score in zip(fold.name.tolist(), fold.rendition.tolist(), fold.score.tolist(), strict=True):
        called.setdefault(name, {})[rendition] = score >= edge
    pairs = [each for each in called.values() if len(each) == 2]
    return float(np.mean([each["small"] != each["large"] for each in pairs])) if pairs else float("nan")
