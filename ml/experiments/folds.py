"""Figures by which recipes are compared: own patients held out at random, a block of normals, and other hospitals.

A training of the fold ``blocks`` gives the answers on all of them; the answers of three such trainings, with seeds that
follow one another, cover every third of the other hospitals' patients and three blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ml.dataset import data, external
from ml.evaluation import robustness
from ml.inference import evidence, heatmaps, lungs
from ml.networks import explain
from ml.pictures import xray
from ml.pictures.preprocess import Preprocessing, to_input, to_tensor
from ml.statistics import metrics
from ml.training.recipe import Recipe

FILE = "answers.npz"
OWN, BLOCK = "own", "block"
#: The collection that has normals and pneumonias, from one hospital.
NIH = "nih_chestxray14"
#: The sensitivity at which specificities are compared: on own patients, and on other hospitals'.
OWN_SENSITIVITY, EXTERNAL_SENSITIVITY = 0.97, 0.85
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """What one network says of images that it was not trained on, a row for each image and condition.

    Attributes:
        origin: ``own`` (patients drawn at random), ``block`` (normals of a block) or a source.
        quality: who labelled it, for other hospitals.
        truth: 0 or 1, or -1.
        stated: the label of the index, for other hospitals.
        condition: of :mod:`ml.evaluation.robustness`.
        rendition: ``small`` or ``large``.
        patient: its identifier.
        name: the file's name.
        score: the log-odds of pneumonia.
        inside: the share of its map that lies on or beside the lungs; 1 where that is not known.
        peak_inside: whether the map's strongest place does.
    """

    origin: NDArray[np.str_]
    quality: NDArray[np.str_]
    truth: NDArray[np.int64]
    stated: NDArray[np.str_]
    condition: NDArray[np.str_]
    rendition: NDArray[np.str_]
    patient: NDArray[np.str_]
    name: NDArray[np.str_]
    score: NDArray[np.float64]
    inside: NDArray[np.float64]
    peak_inside: NDArray[np.bool_]

    def where(self, mask: NDArray[np.bool_]) -> "Answers":
        return Answers(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})


@dataclass(frozen=True)
class Questions:
    """Prepared images, and for each a value of the first columns of :class:`Answers`."""

    inputs: NDArray[np.uint8]
    columns: dict[str, NDArray[Any]]


def questions(
    held_out: Sequence[data.Sample], blocked: set[str], chests: Sequence[external.Chest], spec: Preprocessing, seed: int
) -> Questions:
    """Prepare everything that a network is asked.

    Args:
        held_out: of the fold ``blocks``.
        blocked: the patients of its block.
        chests: of other hospitals, held out.
        spec: the preprocessing.
        seed: of the changes.
    """
    shown = robustness.validation(held_out, spec, robustness.BRIEF, seed)
    images = [xray.load(chest.sample.path.read_bytes()) for chest in chests]
    own, other = len(shown.truth), len(chests)
    origin = [BLOCK if patient in blocked else OWN for patient in shown.patients.tolist()]
    columns: dict[str, list[Any]] = {
        "origin": [*origin, *(chest.source for chest in chests)],
        "quality": [""] * own + [chest.quality for chest in chests],
        "truth": [*shown.truth.tolist(), *(chest.sample.label for chest in chests)],
        "stated": [""] * own + [chest.stated for chest in chests],
        "condition": [*shown.conditions.tolist(), *["plain"] * other],
        "rendition": [*shown.renditions.tolist(), *["large"] * other],
        "patient": [*shown.patients.tolist(), *(chest.sample.patient for chest in chests)],
        "name": [*shown.names.tolist(), *(chest.sample.path.name for chest in chests)],
    }
    inputs = np.concatenate([shown.inputs, *(to_input(image, spec)[np.newaxis] for image in images)])
    return Questions(inputs, {name: np.array(values) for name, values in columns.items()})


def answers(model: keras.Model, asked: Questions, spec: Preprocessing) -> Answers:
    """What a network says of them, and where its evidence lies."""
    read = explain.reader(model)
    scores, inside, peaks = [], [], []
    for start in range(0, len(asked.inputs), BATCH):
        batch = to_tensor(asked.inputs[start : start + BATCH], spec.scaling)
        outputs, _, maps = (keras.ops.convert_to_numpy(part) for part in read(batch))
        pneumonia = np.clip(outputs[:, 1].astype(np.float64), 1e-7, 1 - 1e-7)
        scores.append(np.log(pneumonia) - np.log1p(-pneumonia))
        heat, found = heatmaps.to_bytes(maps), lungs.masks(asked.inputs[start : start + BATCH])
        inside.append(np.nan_to_num(evidence.share_inside(heat, found), nan=1.0))
        peaks.append(evidence.peak_inside(heat, evidence.near(found) >= 0.5))
    return Answers(
        **asked.columns, score=np.concatenate(scores), inside=np.concatenate(inside), peak_inside=np.concatenate(peaks)
    )


def measure(
    model: keras.Model, held_out: Sequence[data.Sample], samples: Sequence[data.Sample],
    chests: Sequence[external.Chest], recipe: Recipe, work: Path,
) -> Answers:  # fmt: skip
    """Ask a training of the fold ``blocks`` everything, and keep its answers in ``work``.

    Args:
        model: what it gave.
        held_out: what it held out, the block among it.
        samples: all own samples.
        chests: of other hospitals, held out.
        recipe: of the training.
        work: its folder.
    """
    normals = [sample for sample in samples if sample.label == 0]
    drawn = data.split(samples, recipe.held_out, recipe.seed, recipe.patient_key)[1]
    blocked = data.block(normals, recipe.held_out, recipe.seed) - {sample.patient for sample in drawn}
    asked = questions(held_out, blocked, chests, recipe.preprocessing, recipe.seed)
    found = answers(model, asked, recipe.preprocessing)
    np.savez_compressed(work / FILE, **{field.name: getattr(found, field.name) for field in fields(Answers)})
    return found


def load(work: Path) -> Answers:
    """The answers that :func:`measure` kept.

    Raises:
        FileNotFoundError: where there are none.
    """
    with np.load(work / FILE, allow_pickle=False) as arrays:
        return Answers(**{field.name: arrays[field.name] for field in fields(Answers)})


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
        groups = [
            own & (fold.condition == condition) & (fold.rendition == rendition)
            for condition in robustness.BRIEF
            for rendition in ("small", "large")
        ]
        # As `balanced` is chosen: the highest threshold that keeps its sensitivity in each of the groups.
        edge = min(
            float(np.quantile(fold.score[group & (fold.truth == 1)], 1 - OWN_SENSITIVITY))
            for group in groups
            if (group & (fold.truth == 1)).any()
        )
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


def _elsewhere(folds: Sequence[Answers], score: NDArray[np.float64]) -> dict[str, float]:
    """Figures of other hospitals' chests; ``score`` counts from each training's threshold."""
    if not len(score):
        return {}
    every = Answers(
        **{field.name: np.concatenate([getattr(f, field.name) for f in folds]) for field in fields(Answers)}
    )
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
