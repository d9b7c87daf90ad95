"""Train networks for a comparison: each recipe becomes a bundle in its own folder."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml.bundles import bundle
from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.experiments.cost import Cost
from ml.networks import architectures
from ml.training import recipe
from ml.training.recipe import Recipe

#: The threshold of an uncalibrated network, as in the report: pneumonia from this output up.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Trial:
    """A recipe, or the part of it that a quick try runs.

    Attributes:
        recipe: the recipe to run; its stages may be cut short.
        full: the number of epochs of the whole recipe.
        epochs: the number of epochs of the quick try; None for the whole recipe, 0 for an untrained network.
        limit: the number of files of each class that the try is restricted to; None for all.
    """

    recipe: Recipe
    full: int
    epochs: int | None = None
    limit: int | None = None

    @classmethod
    def load(cls, name: str, epochs: int | None = None, limit: int | None = None) -> "Trial":
        """Read a recipe (a name, or a TOML file) and cut it to ``epochs``.

        Raises:
            ValueError: see :func:`ml.training.recipe.load`; also for an unknown network.
        """
        loaded = recipe.load(name)
        architectures.check(loaded.architecture)
        if loaded.members and epochs is not None:
            raise ValueError(f"recipe {loaded.name} averages other recipes, whose epochs are not cut short")
        stages, remaining = [], loaded.epochs if epochs is None else epochs
        for stage in loaded.stages:
            if remaining > 0:
                stages.append(replace(stage, epochs=min(stage.epochs, remaining)))
                remaining -= stage.epochs
        return cls(replace(loaded, stages=tuple(stages or loaded.stages)), loaded.epochs, epochs, limit)

    @property
    def name(self) -> str:
        """The recipe's name and the limits of a quick try, so that nobody mistakes it for a full training."""
        cuts = (("epochs", self.epochs), ("limit", self.limit))
        parts = [f"{word}{number}" for word, number in cuts if number is not None]
        return "-".join([self.recipe.name, *parts])

    def run(self, work: Path, samples: list[data.Sample], weights: Path | None) -> tuple[Bundle, str]:
        """Train the network, or find the finished training, and return its bundle.

        Args:
            work: the folder in which each trial has its own folder. An interrupted training continues there, and a
                finished one is not run again.
            samples: the training and held-out samples.
            weights: the weights that it starts from.

        Returns:
            The bundle, and a description of the origin of its weights.

        Raises:
            ValueError: if the folder holds a training of another recipe, other data or other weights.
        """
        folder = work / re.sub(r"[^\w.-]", "_", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "recipe": self.recipe.to_json(),
            "data": data.fingerprint(samples),
            "weights": bundle.sha256(weights) if weights else None,
        }
        settings = json.loads(json.dumps(settings))  # turns tuples into lists
        record, finished = folder / "trial.json", folder / "bundle"
        if record.exists() and json.loads(record.read_text()) != settings:
            raise ValueError(f"{folder} holds a training of another recipe, other data or other weights; "
                             "give another --work")  # fmt: skip
        record.write_text(json.dumps(settings, indent=2) + "\n")
        trained = (
            Bundle.read(finished) if (finished / "bundle.json").exists() else self._train(folder, samples, weights)
        )
        return trained, self._origin(len(trained.meta["training"]["epochs"]), weights)

    def _train(self, folder: Path, samples: list[data.Sample], weights: Path | None) -> Bundle:
        import keras  # imported here because it takes long, and wrong arguments should fail at once

        from ml.training.average import training

        cost = Cost()
        log: list[dict[str, Any]] = []
        if self.epochs == 0:
            keras.utils.set_random_seed(self.recipe.seed)
            model = architectures.build(self.recipe.architecture, self.recipe.preprocessing.size)
            if weights:
                architectures.load_imagenet_base(model, weights)
        else:
            run = training(self.recipe, folder, samples)
            run.fit(weights)
            model, log = run.model(), run.epochs()
        meta = {
            "name": self.name,
            "version": "0.0.0",
            "architecture": self.recipe.architecture,
            "parameters": model.count_params(),
            "classes": list(data.CLASSES),
            "preprocessing": self.recipe.preprocessing.to_json(),
            "threshold": THRESHOLD,
            "training": {"recipe": self.recipe.to_json(), "cost": cost.so_far(), "epochs": log},
        }
        return bundle.write(folder / "bundle", model, meta)

    def _origin(self, done: int, weights: Path | None) -> str:
        start = f"from {weights.name}" if weights else "from scratch"
        if self.epochs == 0:
            return f"untrained, {start}"
        few = f", {self.limit} files of each class" if self.limit is not None else ""
        if self.recipe.members:
            return f"{done} epochs of {len(self.recipe.members)} trainings, averaged, {start}{few}"
        early = ", stopped early" if done < self.recipe.epochs else ""
        return f"{done} of {self.full} epochs{early}, {start}{few}"
