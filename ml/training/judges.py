"""Judges measure a network on held-out patients after an epoch, to choose the epoch that is kept."""

import keras
import numpy as np
from numpy.typing import NDArray

from ml.dataset import data
from ml.evaluation import robustness
from ml.pictures.preprocess import to_tensor
from ml.statistics import metrics
from ml.training.recipe import Recipe
from ml.training.sequences import one_hot

#: The number of files of each class and rendition that an epoch of the last stage is judged on.
JUDGED = 150
BATCH = 32


def predict(model: keras.Model, inputs: NDArray[np.uint8], scaling: str) -> NDArray[np.float32]:
    """The outputs ``(n, 2)`` for any number of inputs ``(n, size, size)``, computed in batches."""
    parts = [
        keras.ops.convert_to_numpy(model.predict_on_batch(to_tensor(inputs[start : start + BATCH], scaling)))
        for start in range(0, len(inputs), BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)


class Judge:
    """Measures a network under the hard conditions. The epoch is chosen by the worst of these.

    Args:
        samples: the samples of held-out patients.
        recipe: the recipe, for its preprocessing and seed.
    """

    #: Whether the stages before the last are judged too. That would take long and decide nothing, since only an epoch
    #: of the last stage is kept.
    every_stage = False

    def __init__(self, samples: list[data.Sample], recipe: Recipe) -> None:
        self.shown = robustness.validation(samples, recipe.preprocessing, robustness.BRIEF, recipe.seed, limit=JUDGED)
        self.scaling = recipe.preprocessing.scaling
        self.columns = [*(f"val_{name}" for name, _ in self.shown.groups()), "val_worst"]

    def losses(self, model: keras.Model) -> dict[str, float]:
        """The loss for each condition and rendition, with equal weights for both classes, and the worst of these."""
        outputs = predict(model, self.shown.inputs, self.scaling)
        truth = self.shown.truth
        likelihood = np.clip(np.where(one_hot(truth) == 1, outputs, 1 - outputs), 1e-6, 1).astype(np.float64)
        image_losses = -np.log(likelihood).mean(axis=1)
        by_group = {
            f"val_{name}": float(
                np.mean([image_losses[mask & (truth == label)].mean() for label in np.unique(truth[mask])])
            )
            for name, mask in self.shown.groups()
        }
        return {**by_group, "val_worst": max(by_group.values())}

    def figures(self) -> dict[str, float]:
        """More figures of the network that was judged last. They are logged if it is the best so far."""
        return {}


class PlainJudge(Judge):
    """Measures a network as the report did.

    It computes the loss over all held-out images as they are, with equal weights for all images, and precision, recall,
    F1 and F-beta whenever that loss improves. That loss is also reported as ``val_worst``, which an epoch is chosen by.
    """

    every_stage = True
    FIGURES = ("precision", "recall", "f1", "f_beta")

    def __init__(self, samples: list[data.Sample], recipe: Recipe) -> None:
        self.shown = robustness.validation(samples, recipe.preprocessing, ("plain",), recipe.seed)
        self.scaling = recipe.preprocessing.scaling
        self.columns = ["val_loss", "val_worst", *(f"val_{name}" for name in self.FIGURES)]

    def losses(self, model: keras.Model) -> dict[str, float]:
        outputs = predict(model, self.shown.inputs, self.scaling)
        self.probability = outputs[:, 1]
        loss = float(keras.losses.BinaryCrossentropy()(one_hot(self.shown.truth), outputs))
        return {"val_loss": loss, "val_worst": loss}

    def figures(self) -> dict[str, float]:
        """The figures of the outputs that were judged last, at the threshold 0.5."""
        measured = metrics.measure(self.shown.truth, self.probability, 0.5)
        return {f"val_{name}": measured[name] for name in self.FIGURES}
