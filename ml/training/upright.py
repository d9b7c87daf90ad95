"""Train and measure the network that detects turned and inverted chests (:mod:`ml.inference.upright`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.dataset import data, external
from ml.inference import upright
from ml.inference.predict import load_input
from ml.inference.upright import WAYS, Layers
from ml.pictures.preprocess import Preprocessing

OWN = "own"
#: The largest numbers of own chests to train on, and of held-out patients' files to measure on.
MOST_OWN, MOST_HELD_OUT = 600, 600
HELD_OUT = 0.12
#: The number of copies of each chest with another framing and exposure. Each copy is shown in all eight orientations.
COPIES = 4
EPOCHS, BATCH = 8, 128
RATE = 3e-3
#: The dropout rate before the last layer.
DROPPED = 0.3
SEED = 7
#: Sources with fewer chests are used for training only.
FEWEST = 20
#: Chests of a collection that are turned, as found by eye. They are not used.
TURNED_FILES = ("nih_chestxray14/a4c1bf6b0a11",)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Chests:
    """Upright chests.

    Attributes:
        inputs: ``(n, 224, 224)`` the model's inputs.
        source: ``(n,)`` the origin of each: ``own``, or a collection.
        place: ``(n,)`` each patient's number from 0 to 1 (:func:`ml.dataset.data.place_of`).
    """

    inputs: NDArray[np.uint8]
    source: NDArray[np.str_]
    place: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> "Chests":
        return Chests(self.inputs[chosen], self.source[chosen], self.place[chosen])


def read(directory: Path, elsewhere: Path) -> tuple[Chests, Chests]:
    """The chests to train on, own ones and other hospitals', and own chests of held-out patients.

    Args:
        directory: the training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        elsewhere: other hospitals' chests, with an ``index.csv``.

    Raises:
        FileNotFoundError: if a file is missing.
    """
    rng = np.random.default_rng(SEED)
    own, held_out = (
        [samples[index] for index in sorted(rng.permutation(len(samples))[:limit])]
        for samples, limit in zip(
            data.split(data.scan(directory), HELD_OUT, SEED), (MOST_OWN, MOST_HELD_OUT), strict=True
        )
    )
    others = [
        chest for chest in external.read(elsewhere) if not str(chest.sample.path.with_suffix("")).endswith(TURNED_FILES)
    ]
    training_samples = [(sample, OWN) for sample in own] + [(chest.sample, chest.source) for chest in others]
    return _chests(training_samples), _chests([(sample, OWN) for sample in held_out])


def _chests(samples: Sequence[tuple[data.Sample, str]]) -> Chests:
    spec = Preprocessing()
    return Chests(
        np.stack([load_input(sample.path, spec) for sample, _ in samples]),
        np.array([source for _, source in samples]),
        np.array([data.place_of(sample.patient, external.SEED) for sample, _ in samples]),
    )


def fit(chests: NDArray[np.uint8], seed: int = SEED) -> Layers:
    """Train the network on copies of upright chests in all eight orientations, and return each layer's kernel and
    bias."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    copies = np.stack([upright.network_input(_copy(chest, rng)) for chest in chests for _ in range(COPIES)])
    copies += rng.normal(0, rng.uniform(0, 0.08, (len(copies), 1, 1, 1)), copies.shape).astype(np.float32)
    images = np.stack([_shown(copies, way) for way in WAYS], axis=1).reshape(-1, *copies.shape[1:])
    layers: list[Any] = [keras.Input(copies.shape[1:])]
    for index, channels in enumerate(upright.CHANNELS):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="relu"))
        if index < upright.POOLED:
            layers.append(keras.layers.MaxPooling2D())
    model = keras.Sequential(
        [*layers, keras.layers.Flatten(), keras.layers.Dropout(DROPPED), keras.layers.Dense(len(WAYS))]
    )
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(images) // BATCH))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, np.tile(np.arange(len(WAYS)), len(copies)), batch_size=BATCH, epochs=EPOCHS, verbose=0)
    weights = model.get_weights()
    return list(zip(weights[::2], weights[1::2], strict=True))


def _shown(pictures: NDArray[Any], way: tuple[int, bool]) -> NDArray[Any]:
    """Pictures ``(n, h, w, …)`` with values around 0, in one of the orientations."""
    quarters, inverted = way
    return np.rot90(-pictures if inverted else pictures, quarters, axes=(1, 2))


def _copy(chest: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A chest as another hospital might frame and expose it; it may be mirrored, have borders or a covered part."""
    angle, x_scale, y_scale = np.deg2rad(rng.uniform(-12, 12)), *rng.uniform(0.7, 1.3, 2)
    mirrored = -1 if rng.random() < 0.5 else 1
    transform = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        [x_scale * mirrored, y_scale]
    )
    side = len(chest)
    inverse = np.linalg.inv(transform)
    middle = side * (0.5 - inverse @ (0.5 + rng.uniform(-0.12, 0.12, 2)))
    matrix = np.column_stack([inverse, middle]).ravel()
    picture = Image.fromarray(chest).transform(
        chest.shape, Image.Transform.AFFINE, tuple(matrix), Image.Resampling.BILINEAR,
        fillcolor=int(rng.choice([0, 0, 0, 128, 255])),
    )  # fmt: skip
    levels = 255 * (np.arange(256) / 255) ** (2 ** rng.uniform(-1, 1)) * rng.uniform(0.7, 1) + rng.uniform(0, 40)
    copy = np.clip(levels, 0, 255).astype(np.uint8)[np.asarray(picture)]
    for edge in range(4):
        if rng.random() < 0.12:
            np.rot90(copy, edge)[: int(rng.uniform(0.03, 0.25) * side)] = rng.choice([0, 255, int(rng.integers(256))])
    if rng.random() < 0.3:
        height, width = (rng.uniform(0.07, 0.3, 2) * side).astype(int)
        top, left = (rng.random(2) * (side - height, side - width)).astype(int)
        copy[top : top + height, left : left + width] = rng.integers(256)
    return copy


def save(layers: Layers, file: Path = upright.FILE) -> None:
    """Store the layers from :func:`fit` in the file that :mod:`ml.inference.upright` reads."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, (kernel, bias) in enumerate(layers):
        arrays |= {f"kernel{number}": kernel.astype(np.float16), f"bias{number}": bias.astype(np.float16)}
    with file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def report(directory: Path, elsewhere: Path, *, write: bool = False) -> dict[str, dict[str, float]]:
    """Train the network on all chests, measure it and print the figures. This takes eight minutes on one core.

    Each source is also measured with a network that is trained on the other sources only, and patients of known sources
    with networks that are trained on other patients.

    Args:
        directory: see :func:`read`.
        elsewhere: see :func:`read`.
        write: whether to store the network that is trained on all chests except those of held-out patients.

    Returns:
        For each measurement: the number ``n`` of chests, the share of upright chests that is ``flagged``, the share
        that is ``caught`` in the seven other orientations, and the ``least`` share caught in one orientation.
    """
    chests, held_out = read(directory, elsewhere)
    layers = fit(chests.inputs)
    if write:
        save(layers)
        print(f"wrote {upright.FILE}", flush=True)
    figures = {"own, patients not known": measured(layers, held_out.inputs)}
    _print_last(figures)
    for name, training_chests, test_chests in _measurements(chests, held_out):
        figures[name] = measured(fit(training_chests.inputs), test_chests.inputs)
        _print_last(figures)
    return figures


def _print_last(figures: dict[str, dict[str, float]]) -> None:
    """Print what was measured last."""
    name, row = list(figures.items())[-1]
    print(
        f"  {name:<40} {row['n']:>4} chests: flagged {row['flagged']:.2%}; turned or inverted, caught "
        f"{row['caught']:.2%}, of the worst way {row['least']:.2%}",
        flush=True,
    )


def _measurements(chests: Chests, held_out: Chests) -> Iterator[tuple[str, Chests, Chests]]:
    """The name of each measurement, the chests to train on, and those to measure on."""
    sources, counts = np.unique(chests.source, return_counts=True)
    for source in sources[counts >= FEWEST].tolist():
        selected = chests.source == source
        yield f"{source}, not known", chests.where(~selected), held_out if source == OWN else chests.where(selected)
    thirds = (chests.place * external.FOLDS).astype(int)
    for third in range(external.FOLDS):
        selected = (thirds == third) & (chests.source != OWN)
        yield f"other hospitals, patients not known, {third}", chests.where(~selected), chests.where(selected)


def measured(layers: Layers, inputs: NDArray[np.uint8]) -> dict[str, float]:
    """The shares that are flagged of upright chests and of the same chests in the other orientations; see
    :func:`report`."""
    shares = []
    for quarters, inverted in WAYS:
        shown = np.rot90(255 - inputs if inverted else inputs, quarters, axes=(1, 2))
        shares.append(float((upright.odds(np.ascontiguousarray(shown), layers) >= upright.LIMIT).mean()))
    return {"n": len(inputs), "flagged": shares[0], "caught": float(np.mean(shares[1:])), "least": min(shares[1:])}
