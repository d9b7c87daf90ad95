"""Training: from a folder of X-rays to a released bundle.

Everything that is chosen (the epoch, the threshold) is chosen on held-out patients, each shown as it is and perturbed
as :data:`ml.augment.HARD` says, because images like the training images flatter a model.
"""

import csv
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml import architectures, augment, bundle, data, metrics
from ml.decode import open_image
from ml.figures import draw
from ml.preprocess import Preprocessing, to_input, to_tensor


@dataclass(frozen=True)
class Recipe:
    """What a training run does; recorded in the bundle.

    Attributes:
        architecture: key of :data:`ml.architectures.REGISTRY`.
        size: side of the square input, in pixels.
        epochs: at most; early stopping may end before.
        batch: images a step.
        learning_rate: peak, reached after a short warm-up and then lowered by half a cosine.
        freeze: convolution blocks that keep their ImageNet weights.
        label_smoothing: share of each label given to the other class.
        patience: epochs without a better validation loss before stopping.
        held_out: share of patients for validation.
        precision: Keras' dtype policy. ``mixed_bfloat16`` is twice as fast on a processor with AVX-512 bf16.
        seed: of the split, the order and the augmentation.
    """

    architecture: str = "vgg16"
    size: int = 224
    epochs: int = 5
    batch: int = 16
    learning_rate: float = 1e-4
    freeze: int = 2
    label_smoothing: float = 0.02
    patience: int = 3
    held_out: float = 0.12
    precision: str = "mixed_bfloat16"
    seed: int = 7


def train(
    directory: Path,
    output: Path,
    recipe: Recipe,
    *,
    extra: tuple[Path, ...] = (),
    weights: Path | None = None,
    work: Path,
    name: str = "vgg16-pneumonia",
    version: str = "1.0.0",
    limit: int | None = None,
) -> bundle.Bundle:
    """Train a network and write its bundle. A run that was interrupted goes on from its last full epoch.

    Args:
        directory: holds ``NORMAL/`` and ``PNEUMONIA/``.
        output: the bundle's folder.
        recipe: what to do.
        extra: folders of the same layout with other renditions of the images (matched by file name) or more images.
        weights: ImageNet weights of the base, without which training starts from random ones.
        work: folder for checkpoints and logs; the run resumes from it.
        name: the bundle's name.
        version: the bundle's version.
        limit: use only so many images of each class (for trying things out).

    Returns:
        The bundle.
    """
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()
    keras.utils.set_random_seed(recipe.seed)
    spec = Preprocessing(size=recipe.size)

    samples = data.scan(directory)
    renditions = [sample for folder in extra for sample in data.scan(folder)]
    if limit:
        samples, renditions = _limit(samples, limit), _limit(renditions, limit)
    training, held_out = data.split([*samples, *renditions], recipe.held_out, recipe.seed)
    for side, part in (("training", training), ("held-out", held_out)):
        if len({sample.label for sample in part}) < len(architectures.CLASSES):
            raise ValueError(f"the {side} patients lack a class; give more patients, or another seed")
    fit_data = TrainingImages(training, recipe, spec)
    print(f"training on {len(fit_data.groups)} images of {_patients(training)} patients, "
          f"holding out {len(held_out)} files of {_patients(held_out)} patients", flush=True)  # fmt: skip
    # A run that goes on must not show the images of its first epochs again, nor forget how good the best of them was.
    log = work / "epochs.csv"
    done = _epochs(log) if log.exists() else []
    best_loss = min((epoch["val_loss"] for epoch in done), default=None)
    fit_data.start_at(len(done))
    check = HeldOut(held_out, spec, recipe.seed)

    keras.mixed_precision.set_dtype_policy(recipe.precision)
    try:
        model = architectures.build(recipe.architecture, spec.size)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    if weights:
        architectures.load_imagenet_base(model, weights)
        architectures.freeze_blocks(model, recipe.freeze)
    steps = len(fit_data)
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                recipe.learning_rate / 20,
                decay_steps=max(1, steps * recipe.epochs - steps // 2),
                alpha=0.01,
                warmup_target=recipe.learning_rate,
                warmup_steps=max(1, steps // 2),
            ),
            clipnorm=1.0,
        ),
        loss=keras.losses.BinaryCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["binary_accuracy"],
        # XLA's convolutions on a processor are a third as fast as oneDNN's.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    best = work / "best.weights.h5"
    model.fit(
        fit_data,
        validation_data=(check.tensors, check.targets),
        validation_batch_size=32,
        epochs=recipe.epochs,
        class_weight=fit_data.class_weight,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            keras.callbacks.ModelCheckpoint(
                best, monitor="val_loss", save_best_only=True, save_weights_only=True, initial_value_threshold=best_loss
            ),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=recipe.patience, baseline=best_loss),
            keras.callbacks.CSVLogger(log, append=True),
            keras.callbacks.BackupAndRestore(work / "backup", delete_checkpoint=False),
        ],
    )
    seconds = time.time() - started

    # Serving runs in float32, so the threshold is chosen there too.
    final = architectures.build(recipe.architecture, spec.size)
    model.load_weights(best)
    for variable, trained in zip(final.weights, model.weights, strict=True):
        variable.assign(np.asarray(trained.value, dtype=np.float16).astype(np.float32))
    probabilities = final.predict(check.tensors, batch_size=32, verbose=0)[:, 1]
    truth = check.targets[:, 1].astype(int)
    threshold = metrics.balanced_threshold(truth, probabilities)
    report: dict[str, Any] = {"hard": metrics.measure(truth, probabilities, threshold)}
    for kind in np.unique(check.kinds):
        chosen = check.kinds == kind
        report[str(kind)] = metrics.measure(truth[chosen], probabilities[chosen], threshold)
    meta = {
        "name": name,
        "version": version,
        "architecture": recipe.architecture,
        "parameters": final.count_params(),
        "classes": list(architectures.CLASSES),
        "preprocessing": spec.to_json(),
        "threshold": threshold,
        "calibration": {"method": "none"},
        "held_out": report,
        "training": {
            "recipe": asdict(recipe),
            "initial_weights_sha256": bundle.sha256(weights) if weights else None,
            "images": len(fit_data.groups),
            "patients": _patients(training),
            "held_out_patients": _patients(held_out),
            "seconds_of_last_run": round(seconds),
            "epochs": _epochs(log),
        },
        "data": {"sha256": data.fingerprint([*samples, *renditions]), "files": len(samples) + len(renditions)},
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
        },
        "created": time.strftime("%Y-%m-%d"),
    }
    (work / "held_out.json").write_text(json.dumps(report, indent=2))
    written = bundle.write(output, final, meta)
    draw(output / "figures", truth, probabilities, threshold, title=f"{written.id}, held-out patients, half perturbed")
    return written


class TrainingImages(keras.utils.PyDataset):
    """Shuffled, augmented batches. One item per image name; each time one of its renditions is drawn.

    Args:
        samples: of the training patients.
        recipe: batch size and seed.
        spec: the preprocessing.
    """

    def __init__(self, samples: list[data.Sample], recipe: Recipe, spec: Preprocessing) -> None:
        super().__init__(workers=max(1, min(4, os.cpu_count() or 1)), use_multiprocessing=False, max_queue_size=8)
        self.recipe, self.spec = recipe, spec
        by_name: dict[tuple[str, int], list[Image.Image]] = {}
        for sample in samples:
            by_name.setdefault((sample.path.name, sample.label), []).append(_decode(sample))
        self.groups = list(by_name.values())
        self.labels = np.array([label for _, label in by_name])
        counts = np.bincount(self.labels, minlength=2)
        self.class_weight = {label: len(self.labels) / (2 * max(1, count)) for label, count in enumerate(counts)}
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """Give the order and the augmentations of this epoch."""
        self.epoch = epoch
        self._shuffle()

    def __len__(self) -> int:
        return math.ceil(len(self.groups) / self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        chosen = self.order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
        images = []
        for item in chosen:
            rng = np.random.default_rng([self.recipe.seed, self.epoch, int(item)])
            renditions = self.groups[item]
            source = renditions[rng.integers(len(renditions))]
            images.append(augment.perturb(source, rng, augment.Strength(), self.spec))
        return to_tensor(np.stack(images)), one_hot(self.labels[chosen])

    def on_epoch_end(self) -> None:
        self.start_at(self.epoch + 1)

    def _shuffle(self) -> None:
        self.order = np.random.default_rng([self.recipe.seed, self.epoch]).permutation(len(self.groups))


class HeldOut:
    """The held-out patients' images, each as it is (``plain``) and perturbed (``perturbed``).

    Attributes:
        tensors: ``(n, size, size, 3)`` float32.
        targets: ``(n, 2)`` one-hot.
        kinds: ``(n,)`` names of the kind of each.
    """

    def __init__(self, samples: list[data.Sample], spec: Preprocessing, seed: int) -> None:
        inputs, labels, kinds = [], [], []
        for index, sample in enumerate(samples):
            image = _decode(sample)
            rng = np.random.default_rng([seed, 1_000_000, index])
            inputs += [to_input(image, spec), augment.perturb(image, rng, augment.HARD, spec)]
            size = "small" if max(image.size) <= spec.size else "large"
            kinds += [f"plain_{size}", f"perturbed_{size}"]
            labels += [sample.label] * 2
        self.tensors = to_tensor(np.stack(inputs))
        self.targets = one_hot(np.array(labels))
        self.kinds = np.array(kinds)


def one_hot(labels: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    return np.eye(len(architectures.CLASSES), dtype=np.float32)[labels]


def _decode(sample: data.Sample) -> Image.Image:
    return open_image(sample.path.read_bytes())


def _patients(samples: list[data.Sample]) -> int:
    return len({sample.patient for sample in samples})


def _limit(samples: list[data.Sample], count: int) -> list[data.Sample]:
    return [s for label in (0, 1) for s in [t for t in samples if t.label == label][:count]]


def _epochs(log: Path) -> list[dict[str, float]]:
    """The log's epochs; of one that was cut off and run again, the last."""
    with log.open() as file:
        rows = [{key: round(float(value), 5) for key, value in row.items()} for row in csv.DictReader(file)]
    return list({row["epoch"]: row for row in rows}.values())
