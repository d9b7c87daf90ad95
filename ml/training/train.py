"""Training: a recipe's stages, one after the other, each resumable.

Everything that is chosen is chosen on held-out patients under hard conditions (:mod:`ml.evaluation.robustness`), by the
worst of them.
"""

import csv
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.bundles import bundle
from ml.dataset import data, external
from ml.networks import architectures
from ml.training import objective
from ml.training.judges import Judge, PlainJudge
from ml.training.recipe import Recipe, Stage
from ml.training.schedule import Cosine
from ml.training.sequences import TrainingImages, useful


class Run:
    """A training run and the folder where it can be found again.

    Attributes:
        recipe: what it does.
        work: its folder: ``epochs.csv`` (the log), ``best.weights.h5``, ``last.weights.h5``, ``state.json``.
        training: samples that it learns from.
        held_out: samples of patients that it never sees.
        chests: of other hospitals, which it learns from as well.
        start: seed of the split and of the weights that it starts from.
        after_epoch: called when an epoch is done and can be gone on from.

    Args:
        recipe: what to do.
        work: made where it is missing.
        samples: the images, in all their renditions.
        fold: which patients to hold out, see :func:`ml.dataset.data.hold_out`.
        extra: more samples to learn from.
        chests: of other hospitals, which the recipe may want as well.
        start: seed of the split and of the random weights that the head starts from, where that is not the recipe's:
            trainings that start alike can be averaged.
    """

    def __init__(
        self, recipe: Recipe, work: Path, samples: list[data.Sample], *, fold: str = "patients",
        extra: list[data.Sample] | None = None, chests: Sequence[external.Chest] = (), start: int | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.work = recipe, work
        self.after_epoch: Callable[[], object] = lambda: None
        work.mkdir(parents=True, exist_ok=True)
        self.start = recipe.seed if start is None else start
        self.training, self.held_out = data.hold_out(samples, fold, recipe.held_out, self.start, recipe.patient_key)
        self.training += extra or []
        self.chests = useful(chests, recipe)
        for side, part in (("training", self.training), ("held-out", self.held_out)):
            if len({sample.label for sample in part}) < len(data.CLASSES):
                raise ValueError(f"the {side} patients lack a class; give more patients, or another seed")
        self.log = work / "epochs.csv"

    def fit(self, weights: Path | None = None) -> None:
        """Run the stages that have not been run. An interrupted run continues from its last full epoch.

        Args:
            weights: of the base, trained on ImageNet; without them it starts from random ones.
        """
        done = len(self.epochs())
        if done >= self.recipe.epochs:
            return
        keras.utils.set_random_seed(self.start)
        images = TrainingImages(self.training, self.recipe, self.chests)
        judge = (PlainJudge if self.recipe.judge == "plain" else Judge)(self.held_out, self.recipe)
        print(f"{self.recipe.name}: training on {len(images.groups)} images of {patients(self.training)} patients, "
              f"{len(images) * self.recipe.batch} an epoch; holding out {len(self.held_out)} files of "
              f"{patients(self.held_out)} patients", flush=True)  # fmt: skip
        model = trainable(self.recipe)
        if weights:
            architectures.load_imagenet_base(model, weights)
        if done:
            model.load_weights(self.work / "last.weights.h5")
        before = 0
        for stage in self.recipe.stages:
            left = before + stage.epochs - max(done, before)
            if left > 0:
                images.start_at(max(done, before))
                images.size = stage.size
                if not self._fit_stage(model, stage, images, judge, first=before, left=left):
                    break
            before += stage.epochs

    def _fit_stage(
        self, model: keras.Model, stage: Stage, images: TrainingImages, judge: "Judge", *, first: int, left: int
    ) -> bool:
        """Run what is left of a stage; False when the training should stop early."""
        architectures.freeze_blocks(model, stage.freeze)
        steps, start = len(images), images.epoch
        # XLA's convolutions on a processor are a third as fast as oneDNN's.
        jit: Any = False if keras.backend.backend() == "tensorflow" else "auto"
        model.compile(jit_compile=jit)
        trained = objective.around(model, self.recipe, stage.size, self.taught_by())
        trained.compile(
            optimizer=self._optimizer(stage, steps, start),
            loss=objective.loss(self.recipe),
            metrics=[objective.binary_accuracy],
            jit_compile=jit,
        )
        keeper = Keeper(self, judge, stage, model)
        callbacks: list[keras.callbacks.Callback] = [keeper]
        if self.recipe.average:
            # Before the keeper, so that what is judged and kept is the running average.
            callbacks.insert(0, Averaging(swap_on_epoch=True))
        trained.fit(
            images, initial_epoch=start, epochs=start + left, callbacks=callbacks,
            verbose=1 if sys.stdout.isatty() else 2,
        )  # fmt: skip
        return not keeper.stopped

    def _optimizer(self, stage: Stage, steps: int, start: int) -> keras.optimizers.Optimizer:
        rate: Any = stage.learning_rate
        if self.recipe.schedule == "cosine":
            rate = Cosine(stage.learning_rate, steps * self.recipe.epochs, steps // 4, steps * start)
        average = (
            {"use_ema": True, "ema_momentum": self.recipe.average, "ema_overwrite_frequency": None}
            if self.recipe.average
            else {}
        )
        if self.recipe.optimizer == "sgd":
            return keras.optimizers.SGD(rate, momentum=self.recipe.momentum, **average)
        return keras.optimizers.Adam(rate, clipnorm=1.0, **average)

    def epochs(self) -> list[dict[str, Any]]:
        """The log; of an epoch that was cut off and run again, the last. What was not measured is None."""
        if not self.log.exists():
            return []
        with self.log.open() as file:
            rows = [
                {key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(file)
            ]
        return list({row["epoch"]: row for row in rows}.values())

    def taught_by(self) -> list[keras.Model]:
        """The networks whose answers are a part of the labels."""
        return []

    def trained(self) -> keras.Model:
        """The network with the weights that the recipe keeps, as it was trained."""
        network = trainable(self.recipe)
        network.load_weights(self.work / f"{self.recipe.keep}.weights.h5")
        return network

    def model(self) -> keras.Model:
        """The same in float32, rounded as a bundle stores it."""
        source = self.trained()
        final = architectures.build(self.recipe.architecture, self.recipe.preprocessing.size)
        for variable, trained in zip(final.weights, source.weights, strict=True):
            variable.assign(bundle.stored(trained).astype(np.float32))
        return final


class Keeper(keras.callbacks.Callback):
    """Judges each epoch of the last stage, or of all where the judge wants it, writes the log, keeps the best and the
    last weights, and stops when patience is at its end.

    Args:
        network: without what is around it while training.
    """

    def __init__(self, run: Run, judge: Judge, stage: Stage, network: keras.Model) -> None:
        super().__init__()
        self.run, self.judge, self.stage, self.network = run, judge, stage, network
        self.stopped = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        trained = time.monotonic() - self.began
        final = self.judge.every_stage or self.stage is self.run.recipe.stages[-1]
        losses = self.judge.losses(self.network) if final else {}
        past = [row["val_worst"] for row in self.run.epochs() if row["val_worst"] is not None]
        best = final and (not past or losses["val_worst"] < min(past))
        figures = self.judge.figures() if best else {}
        row = {
            "epoch": epoch, "size": self.stage.size, "freeze": self.stage.freeze,
            **dict.fromkeys(self.judge.columns),
            **{key: round(float(value), 5) for key, value in {**(logs or {}), **losses, **figures}.items()},
            "seconds": round(trained),
        }  # fmt: skip
        # The weights before the log's row: an epoch counts as done only when it can be gone on from.
        for name in ("last", "best") if best else ("last",):
            part = self.run.work / f"{name}.part.weights.h5"
            self.network.save_weights(part)
            part.replace(self.run.work / f"{name}.weights.h5")
        _append(self.run.log, row)
        self.run.after_epoch()
        if final:
            print("  " + ", ".join(f"{key} {value:.3f}" for key, value in {**losses, **figures}.items()), flush=True)
        patience = self.run.recipe.patience
        if final and patience and past and losses["val_worst"] >= min(past):
            self.stopped = len(past) + 1 - past.index(min(past)) > patience
            self.model.stop_training = self.stopped


class Averaging(keras.callbacks.SwapEMAWeights):
    """Shows the running average between epochs. After the last one, Keras leaves network and average with the same
    arrays, and on JAX a call of the network would then delete the average's too; here they get their own."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if keras.backend.backend() == "jax":
            for variable in self.model.optimizer.variables:
                variable.assign(keras.ops.convert_to_numpy(variable))


def trainable(recipe: Recipe) -> keras.Model:
    """The recipe's network in its precision, for images of any size where it takes them."""
    keras.mixed_precision.set_dtype_policy(recipe.precision)
    try:
        sizes = {recipe.preprocessing.size, *(stage.size for stage in recipe.stages)}
        model = architectures.build(recipe.architecture, sizes.pop() if len(sizes) == 1 else None)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = recipe.dropout
    return model


def patients(samples: list[data.Sample]) -> int:
    """How many patients these are of."""
    return len({sample.patient for sample in samples})


def _append(log: Path, row: dict[str, Any]) -> None:
    new = not log.exists()
    with log.open("a") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
