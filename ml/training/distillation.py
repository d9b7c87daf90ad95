"""A network that learns from others, which cost nothing when it serves.

Several networks together read better than each of them. One that learns what they say of every image, changed as it is
shown the image itself, comes close to them. Sources: Hinton et al., "Distilling the Knowledge in a Neural Network",
2015; Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", 2022.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from ml.dataset import data, external
from ml.training.recipe import Recipe, member
from ml.training.train import Run


class Distilled(Run):
    """A training that is preceded by those of its recipe's teachers, which hold out the same patients.

    Attributes:
        teachers: their trainings, each in a folder of its own in ``work``.

    Args and errors: as for :class:`ml.training.train.Run` and :func:`ml.training.recipe.member`.
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

    def taught_by(self) -> list[keras.Model]:
        return [teacher.trained() for teacher in self.teachers]


def trainings(
    recipe: Recipe, names: Sequence[str], work: Path, samples: list[data.Sample], *, fold: str,
    extra: list[data.Sample] | None, chests: Sequence[external.Chest],
) -> dict[str, Run]:  # fmt: skip
    """The trainings of recipes that another one names, by ``NAME:SEED``, each in a folder of its own in ``work``. They
    hold out the same patients and start from the same weights.

    Args and errors: as for :class:`ml.training.train.Run` and :func:`ml.training.recipe.member`.
    """
    found = {f"{each.name}:{each.seed}": each for each in (member(recipe, name) for name in names)}
    options: dict[str, Any] = {"fold": fold, "extra": extra, "chests": chests, "start": recipe.seed}
    return {name: Run(each, work / f"{each.name}-{each.seed}", samples, **options) for name, each in found.items()}
