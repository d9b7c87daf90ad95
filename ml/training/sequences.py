"""Training images: decoded once, augmented each time they are shown."""

import math
import os
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.dataset import data
from ml.dataset.data import CLASSES
from ml.pictures import augment, xray
from ml.pictures.preprocess import to_tensor
from ml.training.recipe import Recipe


class TrainingImages(keras.utils.PyDataset):
    """Shuffled, augmented batches. One item per image name; each time one of its renditions is drawn.

    Attributes:
        size: side of the images, in pixels; may be changed between epochs.

    Args:
        samples: of the training patients.
        recipe: batch size, balance, preprocessing, augmentation and seed.
    """

    def __init__(self, samples: list[data.Sample], recipe: Recipe) -> None:
        super().__init__(workers=max(1, min(4, os.cpu_count() or 1)), use_multiprocessing=False, max_queue_size=8)
        self.recipe, self.size = recipe, recipe.preprocessing.size
        by_name: dict[tuple[str, int], list[Image.Image]] = {}
        for sample in samples:
            by_name.setdefault((sample.path.name, sample.label), []).append(decode(sample))
        self.groups = list(by_name.values())
        self.labels = np.array([label for _, label in by_name])
        counts = np.bincount(self.labels, minlength=len(CLASSES))
        self.class_weight: dict[int, float] | None = None
        if recipe.balance == "weights":
            self.class_weight = {label: len(self.labels) / (2 * max(1, count)) for label, count in enumerate(counts)}
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """Give the order and the augmentations of this epoch."""
        self.epoch = epoch
        rng = np.random.default_rng([self.recipe.seed, epoch])
        self.order = rng.permutation(_balanced(self.labels, self.recipe, rng))

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        start = index * self.recipe.batch
        chosen = self.order[start : start + self.recipe.batch]
        # The blur is in pixels of the input, so a smaller input wants less of it.
        full = self.recipe.preprocessing
        spec = replace(full, size=self.size, blur=full.blur * self.size / full.size)
        images = []
        for place, item in enumerate(chosen, start):
            rng = np.random.default_rng([self.recipe.seed, self.epoch, int(item), place])
            renditions = self.groups[item]
            source = renditions[rng.integers(len(renditions))]
            images.append(augment.perturb(source, rng, self.recipe.augmentation, spec))
        return to_tensor(np.stack(images), spec.scaling), one_hot(self.labels[chosen])

    def on_epoch_end(self) -> None:
        self.start_at(self.epoch + 1)


def _balanced(labels: NDArray[np.integer[Any]], recipe: Recipe, rng: np.random.Generator) -> NDArray[np.integer[Any]]:
    """The items that an epoch shows."""
    if recipe.balance != "sampling":
        return np.arange(len(labels))
    normal, pneumonia = (np.flatnonzero(labels == label) for label in range(len(CLASSES)))
    wanted = len(normal) * recipe.repeat
    others = np.concatenate([rng.permutation(pneumonia) for _ in range(math.ceil(wanted / len(pneumonia)))])
    return np.concatenate([np.repeat(normal, recipe.repeat), others[:wanted]])


def one_hot(labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """``(n,)`` class indices as ``(n, 2)``."""
    return np.eye(len(CLASSES), dtype=np.float32)[labels]


def decode(sample: data.Sample) -> Image.Image:
    """A sample's image, greyscale."""
    return xray.load(sample.path.read_bytes())
