"""The model that is trained: the network with its preprocessing, image mixing and a loss with several parts.

Only the network itself is kept. The targets of an image are a row of :data:`COLUMNS` numbers: its class (two), its
cause (three: normal, bacterial, viral; all 0 if unknown), and the weight of its class (0 if the class is unknown).
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ml.dataset import data
from ml.networks.explain import last_map
from ml.pictures.preprocess import SCALINGS
from ml.training.attention import EvidenceOutside
from ml.training.mixing import TakeOutside, TakeStyle
from ml.training.recipe import Recipe

CAUSES = ("", "bacteria", "virus")
COLUMNS = len(data.CLASSES) + len(CAUSES) + 1
NO_CAUSE = -1
_EPSILON = 1e-6


class Scaling(keras.layers.Layer):
    """Scales grey images ``(n, side, side, 1)`` like :func:`ml.pictures.preprocess.to_tensor`."""

    def __init__(self, scaling: str, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.offset, self.scale = SCALINGS[scaling]

    def call(self, images: Any) -> Any:
        values = ops.subtract(images, self.offset)
        return values if self.scale is None else ops.divide(values, self.scale)


def around(network: keras.Model, recipe: Recipe, size: int, teachers: Sequence[keras.Model] = ()) -> keras.Model:
    """The model that is trained around a network: from 8-bit grey ``(n, size, size)`` to the columns of
    :func:`columns`."""
    grey = keras.Input((size, size), dtype="uint8", name="grey")
    images = keras.layers.Rescaling(1.0, dtype="float32", name="float")(grey)
    images = keras.layers.Reshape((size, size, 1), dtype="float32", name="channel")(images)
    if recipe.style:
        images = TakeStyle(recipe.style, recipe.seed, name="style")(images)
    if recipe.outside:
        images = TakeOutside(recipe.outside, recipe.seed + 1, name="outside")(images)
    scaled = Scaling(recipe.preprocessing.scaling, name="scaling")(images)
    values = [last_map(network).output, network.get_layer("hidden").output] if recipe.lungs else []
    inner = keras.Model(network.inputs, [network.output, network.layers[-1].input, *values], name="inner")
    probabilities, hidden, *values = inner(scaled)
    parts = [probabilities]
    if recipe.causes:
        parts.append(keras.layers.Dense(len(CAUSES), activation="softmax", dtype="float32", name="causes")(hidden))
    if recipe.teachers:
        frozen = [
            keras.Model(teacher.inputs, teacher.output, name=f"teacher{number}")
            for number, teacher in enumerate(teachers)
        ]
        for teacher in frozen:
            teacher.trainable = False
        taught = [teacher(scaled, training=False) for teacher in frozen]
        parts.append(keras.layers.Average(dtype="float32", name="taught")(taught) if taught[1:] else taught[0])
    if recipe.lungs:
        parts.append(EvidenceOutside(network, name="evidence")(images, *values))
    outputs = keras.layers.Concatenate(dtype="float32", name="answers")(parts) if parts[1:] else probabilities
    return keras.Model(grey, outputs, name="objective")


def columns(recipe: Recipe) -> dict[str, slice]:
    """The columns of the outputs by name.

    ``classes`` holds the two probabilities. If the recipe uses them, there are ``causes`` (three), ``taught`` (the
    teachers' mean probabilities of the classes) and ``outside`` (the share of the evidence outside the lungs).
    """
    widths = {"classes": len(data.CLASSES)}
    widths |= {"causes": len(CAUSES)} if recipe.causes else {}
    widths |= {"taught": len(data.CLASSES)} if recipe.teachers else {}
    widths |= {"outside": 1} if recipe.lungs else {}
    ends = np.cumsum(list(widths.values())).tolist()
    return {name: slice(end - widths[name], end) for name, end in zip(widths, ends, strict=True)}


def targets(
    labels: NDArray[np.integer[Any]], causes: NDArray[np.integer[Any]], weights: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """The rows of targets.

    Args:
        labels: ``(n,)`` of 0 and 1; any value if the weight is 0.
        causes: ``(n,)`` indices into :data:`CAUSES`, or :data:`NO_CAUSE`.
        weights: ``(n,)`` the weight of each image's class.
    """
    rows = np.zeros((len(labels), COLUMNS), np.float32)
    rows[np.arange(len(labels)), np.clip(labels, 0, 1)] = 1
    known = causes != NO_CAUSE
    rows[np.flatnonzero(known), len(data.CLASSES) + causes[known]] = 1
    rows[:, -1] = weights
    return rows


def loss(recipe: Recipe) -> Callable[[Any, Any], Any]:
    """The recipe's loss function for Keras, which returns the loss of each image."""
    smoothing, places = recipe.label_smoothing, columns(recipe)

    def entropy(expected: Any, predicted: Any) -> Any:
        return -ops.mean(expected * ops.log(predicted) + (1 - expected) * ops.log(1 - predicted), axis=1)

    def each(truth: Any, outputs: Any) -> Any:
        predicted = ops.clip(outputs[:, :2], _EPSILON, 1 - _EPSILON)
        total = truth[:, -1] * entropy(truth[:, :2] * (1 - smoothing) + smoothing / 2, predicted)
        if recipe.teachers:
            taught = entropy(outputs[:, places["taught"]], predicted)
            total = (1 - recipe.distillation) * total + recipe.distillation * taught
        if recipe.causes:
            found = ops.log(ops.clip(outputs[:, places["causes"]], _EPSILON, 1.0))
            total = total - recipe.causes * ops.sum(truth[:, 2:5] * found, axis=1)
        if recipe.lungs:
            total = total + recipe.lungs * truth[:, -1] * truth[:, 1] * outputs[:, places["outside"].start]
        if recipe.consistency:
            # Neighbours are two views of one image; certain ones need not agree on how certain they are.
            logits = ops.clip(ops.log(predicted[:, 1]) - ops.log(1 - predicted[:, 1]), -4.0, 4.0)
            squared_differences = ops.square(logits[0::2] - logits[1::2])
            total = total + recipe.consistency * ops.repeat(squared_differences, 2)
        return total

    return each


def binary_accuracy(truth: Any, answers: Any) -> Any:
    """The share of an image's two outputs that are on the right side of 0.5."""
    return ops.mean(ops.cast(ops.equal(truth[:, :2] > 0.5, answers[:, :2] > 0.5), "float32"), axis=1)
