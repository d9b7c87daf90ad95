"""What a network is trained as: with its preprocessing in front of it, mixed images, and a loss of several parts.

Only the network itself is kept. The targets of an image are a row of :data:`COLUMNS` numbers: its class (two), its
cause (three: normal, bacterial, viral; all 0 where it is not known), and the weight of its class, 0 where that is not
known.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ml.dataset import data
from ml.pictures.preprocess import SCALINGS
from ml.training.mixing import TakeOutside, TakeStyle
from ml.training.recipe import Recipe

CAUSES = ("", "bacteria", "virus")
COLUMNS = len(data.CLASSES) + len(CAUSES) + 1
NO_CAUSE = -1
_EPSILON = 1e-6


class Scaling(keras.layers.Layer):
    """From grey ``(n, side, side, 1)`` to what :func:`ml.pictures.preprocess.to_tensor` gives."""

    def __init__(self, scaling: str, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.offset, self.scale = SCALINGS[scaling]

    def call(self, images: Any) -> Any:
        values = ops.subtract(images, self.offset)
        return values if self.scale is None else ops.divide(values, self.scale)


def around(network: keras.Model, recipe: Recipe, size: int) -> keras.Model:
    """A network as it is trained on images of a size: from 8-bit grey ``(n, size, size)`` to its two probabilities, and
    beside them those of three causes where the recipe wants them."""
    grey = keras.Input((size, size), dtype="uint8", name="grey")
    images = keras.layers.Rescaling(1.0, dtype="float32", name="float")(grey)
    images = keras.layers.Reshape((size, size, 1), dtype="float32", name="channel")(images)
    if recipe.style:
        images = TakeStyle(recipe.style, recipe.seed, name="style")(images)
    if recipe.outside:
        images = TakeOutside(recipe.outside, recipe.seed + 1, name="outside")(images)
    images = Scaling(recipe.preprocessing.scaling, name="scaling")(images)
    if not recipe.causes:
        return keras.Model(grey, network(images), name="objective")
    inner = keras.Model(network.inputs, [network.output, network.layers[-1].input], name="inner")
    probabilities, hidden = inner(images)
    causes = keras.layers.Dense(len(CAUSES), activation="softmax", dtype="float32", name="causes")(hidden)
    outputs = keras.layers.Concatenate(dtype="float32", name="answers")([probabilities, causes])
    return keras.Model(grey, outputs, name="objective")


def targets(
    labels: NDArray[np.integer[Any]], causes: NDArray[np.integer[Any]], weights: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """The rows of targets.

    Args:
        labels: ``(n,)`` of 0 and 1; where the weight is 0, of anything.
        causes: ``(n,)`` places in :data:`CAUSES`, or :data:`NO_CAUSE`.
        weights: ``(n,)``.
    """
    rows = np.zeros((len(labels), COLUMNS), np.float32)
    rows[np.arange(len(labels)), np.clip(labels, 0, 1)] = 1
    known = causes != NO_CAUSE
    rows[np.flatnonzero(known), len(data.CLASSES) + causes[known]] = 1
    rows[:, -1] = weights
    return rows


def loss(recipe: Recipe) -> Callable[[Any, Any], Any]:
    """The recipe's loss of each image, as Keras calls it."""
    smoothing = recipe.label_smoothing

    def each(truth: Any, answers: Any) -> Any:
        wanted = truth[:, :2] * (1 - smoothing) + smoothing / 2
        given = ops.clip(answers[:, :2], _EPSILON, 1 - _EPSILON)
        classes = -ops.mean(wanted * ops.log(given) + (1 - wanted) * ops.log(1 - given), axis=1)
        total = truth[:, -1] * classes
        if recipe.causes:
            found = ops.log(ops.clip(answers[:, 2:], _EPSILON, 1.0))
            total = total - recipe.causes * ops.sum(truth[:, 2:5] * found, axis=1)
        if recipe.consistency:
            # Neighbours are two views of one image; certain ones need not agree on how certain they are.
            logits = ops.clip(ops.log(given[:, 1]) - ops.log(1 - given[:, 1]), -4.0, 4.0)
            apart = ops.square(logits[0::2] - logits[1::2])
            total = total + recipe.consistency * ops.repeat(apart, 2)
        return total

    return each


def binary_accuracy(truth: Any, answers: Any) -> Any:
    """The share of an image's two outputs that are on the right side of 0.5."""
    return ops.mean(ops.cast(ops.equal(truth[:, :2] > 0.5, answers[:, :2] > 0.5), "float32"), axis=1)
