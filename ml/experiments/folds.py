"""What a training says of images that it was not trained on: own patients held out at random, a block of normals, and
other hospitals.

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
from ml.training.recipe import Recipe

FILE = "answers.npz"
OWN, BLOCK = "own", "block"
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
