"""Figures for comparing recipes, from the answers of their trainings (:mod:`ml.experiments.folds`)."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.dataset import external
from ml.evaluation import elsewhere, groups, robustness
from ml.evaluation.elsewhere import Chests
from ml.evaluation.elsewhere_report import NIH, part
from ml.experiments.folds import BLOCK, OWN, Answers
from ml.statistics import calibration, metrics

#: The sensitivities at which specificities are compared: on own patients, and on other hospitals' patients.
OWN_SENSITIVITY, EXTERNAL_SENSITIVITY = 0.97, 0.85


def text(folds: Sequence[Answers]) -> str:
    """The figures as text."""
    return "\n".join(f"  {name:<48} {value:.4f}" for name, value in figures(folds).items())


def figures(folds: Sequence[Answers]) -> dict[str, float]:
    """The figures of a recipe, from trainings that held out different patients.

    For own patients and blocks these are the mean over the trainings, and the worst block. For other hospitals the
    answers of all trainings are pooled, with each log-odds taken relative to its training's own threshold.
    """
    values_by_name: dict[str, list[float]] = {}
    relative_scores = []
    for fold in folds:
        own, block = fold.origin == OWN, (fold.origin == BLOCK) | ((fold.origin == OWN) & (fold.truth == 1))
        groups, threshold = _groups(fold), _threshold(fold)
        plain = own & (fold.condition == "plain")
        called = fold.score >= threshold
        values_by_name.setdefault("own, AUC", []).append(_auc(fold.where(own)))
        values_by_name.setdefault("own, worst group's AUC", []).append(
            min(_auc(fold.where(group)) for group in groups if len(set(fold.truth[group].tolist())) > 1)
        )
        values_by_name.setdefault("own, accuracy, plain", []).append(float((called == fold.truth)[plain].mean()))
        values_by_name.setdefault("own, recall, plain", []).append(float(called[plain & (fold.truth == 1)].mean()))
        values_by_name.setdefault("own, specificity", []).append(float((~called)[own & (fold.truth == 0)].mean()))
        values_by_name.setdefault("block, AUC", []).append(_auc(fold.where(block)))
        values_by_name.setdefault("block, specificity", []).append(float((~called)[fold.origin == BLOCK].mean()))
        values_by_name.setdefault("twins, labels that differ", []).append(_differing(fold.where(plain), threshold))
        positive = plain & (fold.truth == 1) & called
        values_by_name.setdefault("own, evidence inside", []).append(float(np.median(fold.inside[positive])))
        values_by_name.setdefault("own, peak inside", []).append(float(fold.peak_inside[positive].mean()))
        elsewhere = ~np.isin(fold.origin, (OWN, BLOCK))
        relative_scores.append((fold.where(elsewhere), fold.score[elsewhere] - threshold))
    result = {name: float(np.mean(values)) for name, values in values_by_name.items()}
    result["worst block, AUC"] = min(values_by_name["block, AUC"])
    return {
        **result,
        **_elsewhere([each for each, _ in relative_scores], np.concatenate([score for _, score in relative_scores])),
    }


def doubts(folds: Sequence[Answers]) -> dict[str, Any]:
    """How many answers are wrong if only the more certain ones count, and the effect of calibrating on another
    hospital's images.

    Each training is calibrated on its own patients, as a bundle is. Its log-odds are then shifted so that all trainings
    have the same threshold. The images' distances from the training images, and the spread of the answers with the
    framing, are unknown here.

    Returns:
        ``coverage`` and ``calibrated``, as from :func:`ml.evaluation.elsewhere_report.measure`.
    """
    lines = [calibration.fit(own.truth, _probability(own.score)) for own in (f.where(f.origin == OWN) for f in folds)]
    thresholds = [line.slope * _threshold(fold) + line.intercept for fold, line in zip(folds, lines, strict=True)]
    mean_threshold = float(np.mean(thresholds))
    odds = [
        line.slope * fold.score + line.intercept - fold_threshold + mean_threshold
        for fold, line, fold_threshold in zip(folds, lines, thresholds, strict=True)
    ]
    pooled, threshold = _pool(folds), float(_probability(np.array(mean_threshold)))
    unknown = np.full(len(pooled.truth), np.nan)
    chests = Chests(
        pooled.truth, _probability(np.concatenate(odds)), pooled.patient, unknown, unknown, pooled.inside,
        pooled.peak_inside, np.zeros((len(pooled.truth), 0), np.float32),
    )  # fmt: skip
    groups = {
        "own": (pooled.origin == OWN) & (pooled.condition == "plain"),
        NIH: pooled.origin == NIH,
        f"{NIH}, read by radiologists": (pooled.origin == NIH) & (pooled.quality == external.EXPERT),
        "other hospitals together": ~np.isin(pooled.origin, (OWN, BLOCK)),
    }
    parts = {name: part(chests, mask) for name, mask in groups.items() if set(pooled.truth[mask].tolist()) >= {0, 1}}
    return {
        "coverage": {name: elsewhere.coverage(group, threshold) for name, group in parts.items()},
        "calibrated": {
            name: result
            for name in (NIH, "other hospitals together")
            # The result is empty if there are too few images.
            if name in parts and (result := elsewhere.calibrated(parts[name], threshold))
        },
    }


def by_group(folds: Sequence[Answers], chests: Sequence[external.Chest]) -> dict[str, Any]:
    """The figures of other hospitals by source, age, sex and view, each training at its own threshold.

    Raises:
        ValueError: if the answers are not for these chests.
    """
    known = {(chest.source, chest.sample.path.name): chest for chest in chests}
    asked, scores = [], []
    for fold in folds:
        other = ~np.isin(fold.origin, (OWN, BLOCK))
        asked += list(zip(fold.origin[other].tolist(), fold.name[other].tolist(), strict=True))
        scores.append(fold.score[other] - _threshold(fold))
    if missing := set(asked) - set(known):
        raise ValueError(f"the index lacks {len(missing)} of the chests that the trainings were asked about")
    read = [known[key] for key in asked]
    return groups.figures(read, _probability(np.concatenate(scores)), {"own threshold": 0.5})


def _pool(folds: Sequence[Answers]) -> Answers:
    return Answers(**{field.name: np.concatenate([getattr(f, field.name) for f in folds]) for field in fields(Answers)})


def _groups(fold: Answers) -> list[NDArray[np.bool_]]:
    return [
        (fold.origin == OWN) & (fold.condition == condition) & (fold.rendition == rendition)
        for condition in robustness.BRIEF
        for rendition in ("small", "large")
    ]


def _threshold(fold: Answers) -> float:
    """The highest threshold, in log-odds, that reaches the sensitivity of ``balanced`` in each of the groups."""
    ill = [group & (fold.truth == 1) for group in _groups(fold)]
    return min(float(np.quantile(fold.score[group], 1 - OWN_SENSITIVITY)) for group in ill if group.any())


def _elsewhere(folds: Sequence[Answers], score: NDArray[np.float64]) -> dict[str, float]:
    """The figures for other hospitals' chests. ``score`` is relative to each training's threshold."""
    if not len(score):
        return {}
    pooled = _pool(folds)
    values: dict[str, float] = {}
    nih = pooled.origin == NIH
    for name, mask in (("experts", nih & (pooled.quality == external.EXPERT)), ("all", nih)):
        truth = np.where(pooled.stated == "normal", 0, np.where(pooled.stated == "pneumonia", 1, -1))
        labelled = mask & (truth >= 0)
        if len(set(truth[labelled].tolist())) < 2:
            continue
        values[f"NIH, {name}, AUC"] = metrics.measure(truth[labelled], _probability(score[labelled]), 0.5)["roc_auc"]
        cutoff = np.quantile(score[labelled & (truth == 1)], 1 - EXTERNAL_SENSITIVITY)
        values[f"NIH, {name}, specificity at {EXTERNAL_SENSITIVITY}"] = float(
            (score < cutoff)[labelled & (truth == 0)].mean()
        )
        values[f"NIH, {name}, sensitivity at own threshold"] = float((score >= 0)[labelled & (truth == 1)].mean())
        values[f"NIH, {name}, specificity at own threshold"] = float((score < 0)[labelled & (truth == 0)].mean())
    for source in sorted(set(pooled.origin.tolist()) - {NIH}):
        for label, name in ((0, "normals called normal"), (1, "pneumonias called so")):
            mask = (pooled.origin == source) & (pooled.truth == label)
            if mask.any():
                values[f"{source}, {name}"] = float(((score >= 0) == bool(label))[mask].mean())
    positive = (pooled.truth == 1) & (score >= 0)
    if positive.any():
        values["elsewhere, evidence inside"] = float(np.median(pooled.inside[positive]))
        values["elsewhere, peak inside"] = float(pooled.peak_inside[positive].mean())
    return values


def _auc(fold: Answers) -> float:
    return metrics.measure(fold.truth, _probability(fold.score), 0.5)["roc_auc"]


def _probability(score: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(score, -30, 30)))


def _differing(fold: Answers, threshold: float) -> float:
    """The share of files with both renditions whose two labels differ; NaN if no file has both."""
    called: dict[str, dict[str, bool]] = {}
    for name, rendition, score in zip(fold.name.tolist(), fold.rendition.tolist(), fold.score.tolist(), strict=True):
        called.setdefault(name, {})[rendition] = score >= threshold
    pairs = [labels for labels in called.values() if len(labels) == 2]
    return float(np.mean([labels["small"] != labels["large"] for labels in pairs])) if pairs else float("nan")
