"""Several trainings whose weights are averaged into one network, which costs no more to run than each of them.

Networks that were fine-tuned from the same weights mostly lie in one basin of the loss, so the mean of their weights
reads about as well as all of them together (model soups, Wortsman et al. 2022). Therefore they start from the same
weights, including the head's random ones, and differ in recipe, order and augmentation.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.bundles import bundle
from ml.dataset import data, external
from ml.networks import architectures
from ml.training.distillation import Distilled, trainings
from ml.training.recipe import Recipe
from ml.training.train import Run


class Average:
    """The trainings of a recipe's members, with the interface of :class:`ml.training.train.Run`.

    Attributes:
        recipe: the recipe, which names its members.
        work: the folder that has a folder for each member.
        runs: the members' trainings by name. They hold out the same patients.
        training: the samples that they train on.
        held_out: the samples of patients that none of them sees.
        chests: chests of other hospitals that they train on as well.
        after_epoch: see :attr:`ml.training.train.Run.after_epoch`.

    Args:
        recipe: a recipe with members.
        work: the folder, created if it is missing.
        samples: the images, in all their renditions.
        fold: which patients to hold out, see :func:`ml.dataset.data.hold_out`.
        extra: more samples to train on.
        chests: chests of other hospitals, which the members' recipes may use as well.

    Raises:
        ValueError: for a member that is unknown, that has another network or preprocessing, or that has members or
            teachers itself; for fewer than two members; and for a network with batch normalisation.
    """

    def __init__(
        self, recipe: Recipe, work: Path, samples: list[data.Sample], *, fold: str = "patients",
        extra: list[data.Sample] | None = None, chests: Sequence[external.Chest] = (),
    ) -> None:  # fmt: skip
        if _has_batch_statistics(recipe):
            raise ValueError(f"recipe {recipe.name}: {recipe.architecture} has batch normalisation, whose statistics "
                             "would not be those of the averaged weights")  # fmt: skip
        self.recipe, self.work = recipe, work
        self.after_epoch: Callable[[], object] = lambda: None
        self.runs = trainings(recipe, recipe.members, work, samples, fold=fold, extra=extra, chests=chests)
        if len(self.runs) < max(2, len(recipe.members)):
            raise ValueError(f"recipe {recipe.name} needs two members or more, and all different")
        first = next(iter(self.runs.values()))
        self.training, self.held_out = first.training, first.held_out
        self.chests = list(dict.fromkeys(chest for run in self.runs.values() for chest in run.chests))

    def fit(self, weights: Path | None = None) -> None:
        """Train the members one after another. Those that are already trained are skipped.

        Args:
            weights: the base's weights, trained on ImageNet, that all members start from. Averaging networks that start
                from different random weights makes no sense.

        Raises:
            ValueError: if ``weights`` is None.
        """
        if not weights:
            raise ValueError(f"recipe {self.recipe.name}: only networks that start from the same weights can be "
                             "averaged; give --weights")  # fmt: skip
        for run in self.runs.values():
            run.after_epoch = self.after_epoch
            run.fit(weights)

    def epochs(self) -> list[dict[str, Any]]:
        """The members' logs, one after another. Each row names its member."""
        return [{**row, "member": name} for name, run in self.runs.items() for row in run.epochs()]

    def model(self) -> keras.Model:
        """The mean of the members' networks in float32, rounded as in a bundle."""
        final, *others = (run.model() for run in self.runs.values())
        for variables in zip(final.weights, *(other.weights for other in others), strict=True):
            variables[0].assign(keras.ops.mean(keras.ops.stack([variable.value for variable in variables]), axis=0))
            variables[0].assign(bundle.stored(variables[0]).astype(np.float32))
        return final


def training(
    recipe: Recipe, work: Path, samples: list[data.Sample], *, fold: str = "patients",
    extra: list[data.Sample] | None = None, chests: Sequence[external.Chest] = (),
) -> Run | Average:  # fmt: skip
    """A recipe's training: one network, one network after its teachers, or the members that are averaged.

    For the arguments see :class:`ml.training.train.Run`.
    """
    kind = Average if recipe.members else Distilled if recipe.teachers else Run
    return kind(recipe, work, samples, fold=fold, extra=extra, chests=chests)


def _has_batch_statistics(recipe: Recipe) -> bool:
    network = architectures.build(recipe.architecture, recipe.preprocessing.size)
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)
