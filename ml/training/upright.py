"""Train and measure the network that tells whether a chest hangs upright (:mod:`ml.inference.upright`)."""

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
#: Own chests that are learnt from, and files of held-out patients that are measured on.
MOST_OWN, MOST_HELD_OUT = 600, 600
HELD_OUT = 0.12
#: Copies of each chest that are framed and exposed otherwise, each in all eight ways.
COPIES = 4
EPOCHS, BATCH = 8, 128
RATE = 3e-3
#: The share of what the last layer sees that is left out while training.
DROPPED = 0.3
SEED = 7
#: Sources with fewer chests are learnt from, and not measured.
FEWEST = 20
#: Chests of a collection that do come turned, seen by eye: neither learnt from nor measured.
TURNED_FILES = ("nih_chestxray14/a4c1bf6b0a11",)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Chests:
    """Upright chests.

    Attributes:
        inputs: ``(n, 224, 224)``.
        source: ``(n,)`` where each comes from: ``own``, or a collection.
        place: ``(n,)`` a number of each patient from 0 to 1 (:func:`ml.dataset.data.place_of`).
    """

    inputs: NDArray[np.uint8]
    source: NDArray[np.str_]
    place: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> "Chests":
        return Chests(self.inputs[chosen], self.source[chosen], self.place[chosen])


def read(directory: Path, elsewhere: Path) -> tuple[Chests, Chests]:
    """Chests to learn from, own ones and other hospitals', and own ones of held-out patients.

    Args:
        directory: the training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        elsewhere: other hospitals' chests, with an ``index.csv``.

    Raises:
        FileNotFoundError: where a file is missing.
    """
    rng = np.random.default_rng(SEED)
    own, held_out = (
        [samples[index] for index in sorted(rng.permutation(len(samples))[:most])]
        for samples, most in zip(
            data.split(data.scan(directory), HELD_OUT, SEED), (MOST_OWN, MOST_HELD_OUT), strict=True
        )
    )
    others = [
        chest for chest in external.read(elsewhere) if not str(chest.sample.path.with_suffix("")).endswith(TURNED_FILES)
    ]
    learnt = [(sample, OWN) for sample in own] + [(chest.sample, chest.source) for chest in others]
    return _chests(learnt), _chests([(sample, OWN) for sample in held_out])


def _chests(samples: Sequence[tuple[data.Sample, str]]) -> Chests:
    spec = Preprocessing()
    return Chests(
        np.stack([load_input(sample.path, spec) for sample, _ in samples]),
        np.array([source for _, source in samples]),
        np.array([data.place_of(sample.patient, external.SEED) for sample, _ in samples]),
    )


def fit(chests: NDArray[np.uint8], seed: int = SEED) -> Layers:
    """Each layer's kernel and bias, learnt from copies of upright chests in all eight ways."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    copies = np.stack([upright.seen(_copy(chest, rng)) for chest in chests for _ in range(COPIES)])
    copies += rng.normal(0, rng.uniform(0, 0.08, (len(copies), 1, 1, 1)), copies.shape).astype(np.float32)
    images = np.stack([_shown(copies, way) for way in WAYS], axis=1).reshape(-1, *copies.shape[1:])
    layers: list[Any] = [keras.Input(copies.shape[1:])]
    for number, channels in enumerate(upright.CHANNELS):
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="relu"))
        if number < upright.HALVED:
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
    """Pictures, ``(n, h, w, …)``, in one of the ways; values are around 0."""
    quarters, inverted = way
    return np.rot90(-pictures if inverted else pictures, quarters, axes=(1, 2))


def _copy(chest: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A chest as another hospital might frame and expose it, perhaps mirrored, with borders and a covered part."""
    turn, wide, high = np.deg2rad(rng.uniform(-12, 12)), *rng.uniform(0.7, 1.3, 2)
    mirrored = -1 if rng.random() < 0.5 else 1
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([wide * mirrored, high])
    side = len(chest)
    back = np.linalg.inv(turned)
    middle = side * (0.5 - back @ (0.5 + rng.uniform(-0.12, 0.12, 2)))
    matrix = np.column_stack([back, middle]).ravel()
    picture = Image.fromarray(chest).transform(
        chest.shape, Image.Transform.AFFINE, tuple(matrix), Image.Resampling.BILINEAR,
        fillcolor=int(rng.choice([0, 0, 0, 128, 255])),
    )  # fmt: skip
    levels = 255 * (np.arange(256) / 255) ** (2 ** rng.uniform(-1, 1)) * rng.uniform(0.7, 1) + rng.uniform(0, 40)
    made = np.clip(levels, 0, 255).astype(np.uint8)[np.asarray(picture)]
    for edge in range(4):
        if rng.random() < 0.12:
            np.rot90(made, edge)[: int(rng.uniform(0.03, 0.25) * side)] = rng.choice([0, 255, int(rng.integers(256))])
    if rng.random() < 0.3:
        height, width = (rng.uniform(0.07, 0.3, 2) * side).astype(int)
        top, left = (rng.random(2) * (side - height, side - width)).astype(int)
        made[top : top + height, left : left + width] = rng.integers(256)
    return made


def save(layers: Layers, file: Path = upright.FILE) -> None:
    """Store what :func:`fit` gives where :mod:`ml.inference.upright` reads it."""
    named: dict[str, NDArray[Any]] = {}
    for number, (kernel, bias) in enumerate(layers):
        named |= {f"kernel{number}": kernel.astype(np.float16), f"bias{number}": bias.astype(np.float16)}
    with file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **named)


def report(directory: Path, elsewhere: Path, *, write: bool = False) -> dict[str, dict[str, float]]:
    """Measure the network, print what it takes for turned, and train it on all chests. Takes eight minutes on a core.

    Each source is measured with a network that learnt from the other sources only; then other patients, of sources that
    are known.

    Args:
        directory: as for :func:`read`.
        elsewhere: as for :func:`read`.
        write: store the one that learnt from all but held-out patients.

    Returns:
        By what was measured: ``n`` chests, the shares ``flagged`` of them as they are, ``caught`` of them in the seven
        other ways, and ``least`` caught of one way.
    """
    chests, held_out = read(directory, elsewhere)
    learnt = fit(chests.inputs)
    if write:
        save(learnt)
        print(f"wrote {upright.FILE}", flush=True)
    found = {"own, patients not known": measured(learnt, held_out.inputs)}
    _say(found)
    for name, known, asked in _measurements(chests, held_out):
        found[name] = measured(fit(known.inputs), asked.inputs)
        _say(found)
    return found


def _say(found: dict[str, dict[str, float]]) -> None:
    """Print what was measured last."""
    name, about = list(found.items())[-1]
    print(
        f"  {name:<40} {about['n']:>4} chests: flagged {about['flagged']:.2%}; turned or inverted, caught "
        f"{about['caught']:.2%}, of the worst way {about['least']:.2%}",
        flush=True,
    )


def _measurements(chests: Chests, held_out: Chests) -> Iterator[tuple[str, Chests, Chests]]:
    """What is measured, the chests to learn from, and those to measure on."""
    sources, counts = np.unique(chests.source, return_counts=True)
    for source in sources[counts >= FEWEST].tolist():
        here = chests.source == source
        yield f"{source}, not known", chests.where(~here), held_out if source == OWN else chests.where(here)
    thirds = (chests.place * external.FOLDS).astype(int)
    for third in range(external.FOLDS):
        here = (thirds == third) & (chests.source != OWN)
        yield f"other hospitals, patients not known, {third}", chests.where(~here), chests.where(here)


def measured(layers: Layers, inputs: NDArray[np.uint8]) -> dict[str, float]:
    """How many of upright chests are flagged, and of the same in the seven other ways; see :func:`report`."""
    shares = []
    for quarters, inverted in WAYS:
        shown = np.rot90(255 - inputs if inverted else inputs, quarters, axes=(1, 2))
        shares.append(float((upright.odds(np.ascontiguousarray(shown), layers) >= upright.LIMIT).mean()))
    return {"n": len(inputs), "flagged": shares[0], "caught": float(np.mean(shares[1:])), "least": min(shares[1:])}
