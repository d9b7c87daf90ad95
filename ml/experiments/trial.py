"""Networks trained to be compared: a recipe becomes a bundle in a folder of its own."""

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
        recipe: what is run; its stages may be cut short.
        full: epochs of the whole recipe.
        epochs: of the quick try; None for the whole recipe, 0 for a network that is not trained at all.
        limit: files of each class that the try is restricted to.
    """

    recipe: Recipe
    full: int
    epochs: int | None = None
    limit: int | None = None

    @classmethod
    def load(cls, name: str, epochs: int | None = None, limit: int | None = None) -> "Trial":
        """Read a recipe (a name, or a TOML file) and cut it to ``epochs``.

        Raises:
            ValueError: as :func:`ml.training.recipe.load`, and for an unknown network.
        """
        loaded = recipe.load(name)
        architectures.check(loaded.architecture)
        if loaded.members and epochs is not None:
            raise ValueError(f"recipe {loaded.name} averages other recipes, whose epochs are not cut short")
        stages, left = [], loaded.epochs if epochs is None else epochs
        for stage in loaded.stages:
            if left > 0:
                stages.append(replace(stage, epochs=min(stage.epochs, left)))
                left -= stage.epochs
        return cls(replace(loaded, stages=tuple(stages or loaded.stages)), loaded.epochs, epochs, limit)

    @property
    def name(self) -> str:
        """The recipe's name, and how the try was cut short, so that nobody takes it for a full training."""
        cuts = (("epochs", self.epochs), ("limit", self.limit))
        parts = [f"{word}{number}" for word, number in cuts if number is not None]
        return "-".join([self.recipe.name, *parts])

    def run(self, work: Path, samples: list[data.Sample], weights: Path | None) -> tuple[Bundle, str]:
        """Train, or find what was trained, and make a bundle of it.

        Args:
            work: each trial has a folder of its own in it. An interrupted training continues there; a finished
                one is not run again.
            samples: training and held-out ones.
            weights: that it starts from.

        Returns:
            The bundle, and where its weights come from, in words.

        Raises:
            ValueError: where the folder holds a training of another recipe, other data or other weights.
        """
        folder = work / re.sub(r"[^\w.-]", "_", self.name)
        folder.mkdir(parents=True, exist_ok=True)
        what = {
            "recipe": self.recipe.to_json(),
            "data": data.fingerprint(samples),
            "weights": bundle.sha256(weights) if weights else None,
        }
        what = json.loads(json.dumps(what))  # which makes lists of tuples
        record, finished = folder / "trial.json", folder / "bundle"
        if record.exists() and json.loads(record.read_text()) != what:
            raise ValueError(f"{folder} holds a training of another recipe, other data or other weights; "
                             "give another --work")  # fmt: skip
        record.write_text(json.dumps(what, indent=2) + "\n")
        made = Bundle.read(finished) if (finished / "bundle.json").exists() else self._made(folder, samples, weights)
        return made, self._origin(len(made.meta["training"]["epochs"]), weights)

    def _made(self, folder: Path, samples: list[data.Sample], weights: Path | None) -> Bundle:
        import keras  # late: wrong arguments should fail at once

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
