"""A training's answers for images that it was not trained on: own patients held out at random, a block of normals, and
other hospitals.

A training of the fold ``blocks`` holds out all of these. Three such trainings with consecutive seeds cover each third
of the other hospitals' patients and three blocks.
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
from ml.training.recipe import Recipe

FILE = "answers.npz"
OWN, BLOCK = "own", "block"
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """One network's answers for images that it was not trained on, with a row for each image and condition.

    Attributes:
        origin: ``own`` (patients drawn at random), ``block`` (normals of a block) or a source.
        quality: for other hospitals, who labelled the image.
        truth: 0 or 1, or -1 if unknown.
        stated: for other hospitals, the label in the index.
        condition: a condition of :mod:`ml.evaluation.robustness`.
        rendition: ``small`` or ``large``.
        patient: the patient's identifier.
        name: the file's name.
        score: the log-odds of pneumonia.
        inside: the share of the map that lies on or next to the lungs; 1 if unknown.
        peak_inside: whether the peak of the map lies on or next to the lungs.
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
    """Prepared images, and the first columns of :class:`Answers` for them."""

    inputs: NDArray[np.uint8]
    columns: dict[str, NDArray[Any]]


def questions(
    held_out: Sequence[data.Sample], blocked: set[str], chests: Sequence[external.Chest], spec: Preprocessing, seed: int
) -> Questions:
    """Prepare all images that a network is measured on.

    Args:
        held_out: the held-out samples of the fold ``blocks``.
        blocked: the patients of its block.
        chests: the held-out chests of other hospitals.
        spec: the preprocessing.
        seed: the seed of the random changes.
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


def answers(model: keras.Model, images: Questions, spec: Preprocessing) -> Answers:
    """A network's answers for the images, and where its evidence lies."""
    read = explain.reader(model)
    scores, inside, peaks = [], [], []
    for start in range(0, len(images.inputs), BATCH):
        batch = to_tensor(images.inputs[start : start + BATCH], spec.scaling)
        outputs, _, maps = (keras.ops.convert_to_numpy(part) for part in read(batch))
        pneumonia = np.clip(outputs[:, 1].astype(np.float64), 1e-7, 1 - 1e-7)
        scores.append(np.log(pneumonia) - np.log1p(-pneumonia))
        heat, lung_masks = heatmaps.to_bytes(maps), lungs.masks(images.inputs[start : start + BATCH])
        inside.append(np.nan_to_num(evidence.share_inside(heat, lung_masks), nan=1.0))
        peaks.append(evidence.peak_inside(heat, evidence.near(lung_masks) >= 0.5))
    return Answers(
        **images.columns, score=np.concatenate(scores), inside=np.concatenate(inside), peak_inside=np.concatenate(peaks)
    )


def measure(
    model: keras.Model, held_out: Sequence[data.Sample], samples: Sequence[data.Sample],
    chests: Sequence[external.Chest], recipe: Recipe, work: Path,
) -> Answers:  # fmt: skip
    """Compute the answers of a training of the fold ``blocks`` and store them in ``work``.

    Args:
        model: the trained network.
        held_out: the held-out samples, including the block.
        samples: all own samples.
        chests: the held-out chests of other hospitals.
        recipe: the recipe of the training.
        work: the folder of the training.
    """
    normals = [sample for sample in samples if sample.label == 0]
    drawn = data.split(samples, recipe.held_out, recipe.seed, recipe.patient_key)[1]
    blocked = data.block(normals, recipe.held_out, recipe.seed) - {sample.patient for sample in drawn}
    images = questions(held_out, blocked, chests, recipe.preprocessing, recipe.seed)
    computed = answers(model, images, recipe.preprocessing)
    np.savez_compressed(work / FILE, **{field.name: getattr(computed, field.name) for field in fields(Answers)})
    return computed


def load(work: Path) -> Answers:
    """The answers that :func:`measure` stored.

    Raises:
        FileNotFoundError: if there are none.
    """
    with np.load(work / FILE, allow_pickle=False) as arrays:
        return Answers(**{field.name: arrays[field.name] for field in fields(Answers)})
