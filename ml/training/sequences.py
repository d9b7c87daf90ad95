"""Training images: decoded once, and augmented each time they are used."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.dataset import data, external
from ml.dataset.data import CLASSES
from ml.pictures import augment, xray
from ml.training import objective
from ml.training.recipe import Recipe


class TrainingImages(keras.utils.PyDataset):
    """Shuffled, augmented batches. There is one item per image name, and each time one of its renditions is drawn.

    Attributes:
        size: the width and height of the images in pixels. It may be changed between epochs.

    Args:
        samples: the samples of the training patients.
        recipe: the recipe, for batch size, balance, preprocessing, augmentation and seed.
        chests: chests of other hospitals. The recipe sets their share of an epoch.
    """

    def __init__(self, samples: list[data.Sample], recipe: Recipe, chests: Sequence[external.Chest] = ()) -> None:
        super().__init__(workers=max(1, min(4, os.cpu_count() or 1)), use_multiprocessing=False, max_queue_size=8)
        self.recipe, self.size = recipe, recipe.preprocessing.size
        by_name: dict[tuple[str, int], list[Image.Image]] = {}
        for sample in samples:
            by_name.setdefault((sample.path.name, sample.label), []).append(decode(sample))
        chests = useful(chests, recipe)
        self.groups = [*by_name.values(), *([decode(chest.sample)] for chest in chests)]
        self.own = len(by_name)
        self.labels = np.array([label for _, label in by_name] + [chest.sample.label for chest in chests])
        self.causes = np.array([_cause(name, label) for name, label in by_name] + [
            0 if chest.sample.label == 0 else objective.NO_CAUSE for chest in chests
        ])  # fmt: skip
        self.chances = np.array([_chance(chest, chests) for chest in chests])
        counts = np.bincount(self.labels[: self.own], minlength=len(CLASSES))
        by_class = np.ones(len(CLASSES))
        if recipe.balance == "weights":
            by_class = self.own / (2 * np.maximum(1, counts))
        self.weights = np.where(self.labels == external.UNKNOWN, 0.0, by_class[np.maximum(self.labels, 0)])
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """Set the order and the augmentations to those of this epoch."""
        self.epoch = epoch
        rng = np.random.default_rng([self.recipe.seed, epoch])
        shown = _balanced(self.labels[: self.own], self.recipe, rng)
        if len(self.chances):
            count = round(len(shown) * self.recipe.external / (1 - self.recipe.external))
            shown = np.concatenate([shown, self.own + rng.choice(len(self.chances), count, p=self.chances)])
        shown = rng.permutation(shown)
        # Two views of an image follow one another.
        self.order = np.repeat(shown, 2) if self.recipe.consistency else shown

    def __len__(self) -> int:
        # A smaller last batch is dropped, because it would be compiled separately.
        return max(1, len(self.order) // self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The inputs ``(n, size, size)`` of a batch and their rows of :func:`ml.training.objective.targets`."""
        start = index * self.recipe.batch
        chosen = self.order[start : start + self.recipe.batch]
        images = np.stack([self.image(int(item), position) for position, item in enumerate(chosen, start)])
        return images, objective.targets(self.labels[chosen], self.causes[chosen], self.weights[chosen])

    def image(self, item: int, position: int) -> NDArray[np.uint8]:
        """An item's augmented image, for its position in the epoch's order."""
        # The blur is in pixels of the input, so a smaller input needs less of it.
        full = self.recipe.preprocessing
        spec = replace(full, size=self.size, blur=full.blur * self.size / full.size)
        rng = np.random.default_rng([self.recipe.seed, self.epoch, item, position])
        renditions = self.groups[item]
        source = renditions[rng.integers(len(renditions))]
        return augment.perturb(source, rng, self.recipe.augmentation, spec)

    def on_epoch_end(self) -> None:
        self.start_at(self.epoch + 1)


def useful(chests: Sequence[external.Chest], recipe: Recipe) -> list[external.Chest]:
    """The chests of other hospitals that this recipe trains on."""
    # An image without a label is useful only for consistency between two views, or for the teachers' outputs.
    unlabelled = bool(recipe.consistency or recipe.teachers)
    return [chest for chest in chests if recipe.external and (unlabelled or chest.sample.label != external.UNKNOWN)]


def _cause(name: str, label: int) -> int:
    """The index of an image's cause in :data:`ml.training.objective.CAUSES`."""
    cause = data.cause_of(name)
    return objective.CAUSES.index(cause) if label == 0 or cause else objective.NO_CAUSE


def _chance(chest: external.Chest, chests: Sequence[external.Chest]) -> float:
    """The probability of drawing a chest of another hospital.

    All labels that occur are equally likely. Chests labelled by experts are drawn twice as often as the others.
    """

    def weight(each: external.Chest) -> int:
        return 2 if each.quality == external.EXPERT else 1

    same_label = sum(weight(each) for each in chests if each.sample.label == chest.sample.label)
    return weight(chest) / same_label / len({each.sample.label for each in chests})


def _balanced(labels: NDArray[np.integer[Any]], recipe: Recipe, rng: np.random.Generator) -> NDArray[np.integer[Any]]:
    """The own items of an epoch."""
    if recipe.balance != "sampling":
        return np.arange(len(labels))
    normal, pneumonia = (np.flatnonzero(labels == label) for label in range(len(CLASSES)))
    count = len(normal) * recipe.repeat
    repeated_pneumonia = np.concatenate([rng.permutation(pneumonia) for _ in range(math.ceil(count / len(pneumonia)))])
    return np.concatenate([np.repeat(normal, recipe.repeat), repeated_pneumonia[:count]])


def one_hot(labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Class indices ``(n,)`` as one-hot rows ``(n, 2)``."""
    return np.eye(len(CLASSES), dtype=np.float32)[labels]


def decode(sample: data.Sample) -> Image.Image:
    """A sample's image in greyscale."""
    return xray.load(sample.path.read_bytes())
