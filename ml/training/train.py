"""Training: a recipe's stages, one after another, each resumable.

All choices are made on held-out patients, by the worst of several hard conditions (:mod:`ml.evaluation.robustness`).
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
    """A training run and its folder, from which it can be resumed.

    Attributes:
        recipe: the recipe.
        work: the folder, with ``epochs.csv`` (the log), ``best.weights.h5``, ``last.weights.h5``, ``state.json``.
        training: the samples that it trains on.
        held_out: the samples of patients that it never sees.
        chests: chests of other hospitals that it trains on as well.
        start: the seed of the split and of the initial weights.
        after_epoch: called after each epoch, when the run can be resumed from it.

    Args:
        recipe: the recipe.
        work: the folder, created if it is missing.
        samples: the images, in all their renditions.
        fold: which patients to hold out, see :func:`ml.dataset.data.hold_out`.
        extra: more samples to train on.
        chests: chests of other hospitals, which the recipe may use as well.
        start: the seed of the split and of the head's random initial weights; by default the recipe's. Trainings with
            the same start can be averaged.
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
        """Run the remaining stages. An interrupted run continues after its last complete epoch.

        Args:
            weights: the base's weights, trained on ImageNet; None for random ones.
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
            remaining = before + stage.epochs - max(done, before)
            if remaining > 0:
                images.start_at(max(done, before))
                images.size = stage.size
                if not self._fit_stage(model, stage, images, judge, first=before, remaining=remaining):
                    break
            before += stage.epochs

    def _fit_stage(
        self, model: keras.Model, stage: Stage, images: TrainingImages, judge: "Judge", *, first: int, remaining: int
    ) -> bool:
        """Run the remaining epochs of a stage. Return False if the training should stop early."""
        architectures.freeze_blocks(model, stage.freeze)
        steps, start = len(images), images.epoch
        # XLA's convolutions on a CPU are a third as fast as those of oneDNN.
        jit: Any = False if keras.backend.backend() == "tensorflow" else "auto"
        model.compile(jit_compile=jit)
        trained = objective.around(model, self.recipe, stage.size, self.teacher_networks())
        trained.compile(
            optimizer=self._optimizer(stage, steps, start),
            loss=objective.loss(self.recipe),
            metrics=[objective.binary_accuracy],
            jit_compile=jit,
        )
        keeper = Keeper(self, judge, stage, model)
        callbacks: list[keras.callbacks.Callback] = [keeper]
        if self.recipe.average:
            # Placed before the keeper, so that the running average is judged and kept.
            callbacks.insert(0, Averaging(swap_on_epoch=True))
        trained.fit(
            images, initial_epoch=start, epochs=start + remaining, callbacks=callbacks,
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
        """The rows of the log. For an epoch that was run twice, the last one counts. Missing values are None."""
        if not self.log.exists():
            return []
        with self.log.open() as file:
            rows = [
                {key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(file)
            ]
        return list({row["epoch"]: row for row in rows}.values())

    def teacher_networks(self) -> list[keras.Model]:
        """The networks whose outputs are a part of the labels."""
        return []

    def trained(self) -> keras.Model:
        """The network with the weights that the recipe keeps, in the precision of the training."""
        network = trainable(self.recipe)
        network.load_weights(self.work / f"{self.recipe.keep}.weights.h5")
        return network

    def model(self) -> keras.Model:
        """The trained network in float32, rounded as in a bundle."""
        source = self.trained()
        final = architectures.build(self.recipe.architecture, self.recipe.preprocessing.size)
        for variable, trained in zip(final.weights, source.weights, strict=True):
            variable.assign(bundle.stored(trained).astype(np.float32))
        return final


class Keeper(keras.callbacks.Callback):
    """Judges the epochs of the last stage, or of all stages if the judge requires that. After each epoch it writes the
    log and saves the best and the last weights. It stops the training when the recipe's patience is exhausted.

    Args:
        network: the network itself, without the layers that are added for the training.
    """

    def __init__(self, run: Run, judge: Judge, stage: Stage, network: keras.Model) -> None:
        super().__init__()
        self.run, self.judge, self.stage, self.network = run, judge, stage, network
        self.stopped = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.monotonic() - self.began
        is_judged = self.judge.every_stage or self.stage is self.run.recipe.stages[-1]
        losses = self.judge.losses(self.network) if is_judged else {}
        past_losses = [row["val_worst"] for row in self.run.epochs() if row["val_worst"] is not None]
        best = is_judged and (not past_losses or losses["val_worst"] < min(past_losses))
        figures = self.judge.figures() if best else {}
        row = {
            "epoch": epoch, "size": self.stage.size, "freeze": self.stage.freeze,
            **dict.fromkeys(self.judge.columns),
            **{key: round(float(value), 5) for key, value in {**(logs or {}), **losses, **figures}.items()},
            "seconds": round(seconds),
        }  # fmt: skip
        # The weights are saved before the log is written: an epoch in the log can always be resumed from.
        for name in ("last", "best") if best else ("last",):
            partial_file = self.run.work / f"{name}.part.weights.h5"
            self.network.save_weights(partial_file)
            partial_file.replace(self.run.work / f"{name}.weights.h5")
        _append(self.run.log, row)
        self.run.after_epoch()
        if is_judged:
            print("  " + ", ".join(f"{key} {value:.3f}" for key, value in {**losses, **figures}.items()), flush=True)
        patience = self.run.recipe.patience
        if is_judged and patience and past_losses and losses["val_worst"] >= min(past_losses):
            self.stopped = len(past_losses) + 1 - past_losses.index(min(past_losses)) > patience
            self.model.stop_training = self.stopped


class Averaging(keras.callbacks.SwapEMAWeights):
    """Uses the running average between epochs.

    After the last epoch, Keras leaves the network and the average with the same arrays. On JAX, calling the network
    would then delete the arrays of the average too, so the variables get their own copies here.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if keras.backend.backend() == "jax":
            for variable in self.model.optimizer.variables:
                variable.assign(keras.ops.convert_to_numpy(variable))


def trainable(recipe: Recipe) -> keras.Model:
    """The recipe's network in its precision, for any image size if the stages' sizes differ."""
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
    """The number of patients in these samples."""
    return len({sample.patient for sample in samples})


def _append(log: Path, row: dict[str, Any]) -> None:
    new = not log.exists()
    with log.open("a") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
