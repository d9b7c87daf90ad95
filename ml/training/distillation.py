"""Knowledge distillation: a network that is trained on the outputs of others, its teachers.

Several networks together read better than each of them alone. A network that learns their outputs for the same
augmented images comes close to them, and costs no more when it serves. Sources: Hinton et al., "Distilling the
Knowledge in a Neural Network", 2015; Beyer et al., "Knowledge distillation: A good teacher is patient and consistent",
2022.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from ml.dataset import data, external
from ml.training.recipe import Recipe, member
from ml.training.train import Run


class Distilled(Run):
    """A training that first trains its recipe's teachers, which hold out the same patients.

    Attributes:
        teachers: the trainings of the teachers, each in its own folder in ``work``.

    For the arguments and errors see :class:`ml.training.train.Run` and :func:`ml.training.recipe.member`.
    """

    def __init__(
        self, recipe: Recipe, work: Path, samples: list[data.Sample], *, fold: str = "patients",
        extra: list[data.Sample] | None = None, chests: Sequence[external.Chest] = (),
    ) -> None:  # fmt: skip
        super().__init__(recipe, work, samples, fold=fold, extra=extra, chests=chests)
        self.teachers = list(
            trainings(recipe, recipe.teachers, work, samples, fold=fold, extra=extra, chests=chests).values()
        )

    def fit(self, weights: Path | None = None) -> None:
        for teacher in self.teachers:
            teacher.after_epoch = self.after_epoch
            teacher.fit(weights)
        super().fit(weights)

    def teacher_networks(self) -> list[keras.Model]:
        return [teacher.trained() for teacher in self.teachers]


def trainings(
    recipe: Recipe, names: Sequence[str], work: Path, samples: list[data.Sample], *, fold: str,
    extra: list[data.Sample] | None, chests: Sequence[external.Chest],
) -> dict[str, Run]:  # fmt: skip
    """The trainings of the members or teachers of a recipe, by ``NAME:SEED``, each in its own folder in ``work``.

    They hold out the same patients and start from the same weights. For the arguments and errors see
    :class:`ml.training.train.Run` and :func:`ml.training.recipe.member`.
    """
    recipes = {f"{own.name}:{own.seed}": own for own in (member(recipe, name) for name in names)}
    options: dict[str, Any] = {"fold": fold, "extra": extra, "chests": chests, "start": recipe.seed}
    return {name: Run(own, work / f"{own.name}-{own.seed}", samples, **options) for name, own in recipes.items()}
