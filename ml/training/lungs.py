"""Train and measure the network that finds the lungs (:mod:`ml.inference.lungs`) on chests outlined by hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.inference import lungs
from ml.inference.predict import load_input
from ml.pictures.preprocess import Preprocessing

OUTLINES = Path(__file__).parents[1] / "dataset" / "outlines" / "lungs.json"
OWN = "own"
#: Copies of each chest that are turned, moved, stretched, mirrored and exposed otherwise.
COPIES = 24
EPOCHS, BATCH = 10, 32
RATE = 3e-3
#: Points on each side of a place at which an outline is drawn.
FINE = 8
SEED = 7

Outline = list[list[list[float]]]


@dataclass(frozen=True)
class Outlined:
    """A chest whose lungs were outlined.

    Attributes:
        name: of its file.
        source: ``own``, or the collection that it comes from.
        input: ``(224, 224)``.
        outline: of each lung the corners, x and y in hundredths of the picture's width and height.
    """

    name: str
    source: str
    input: NDArray[np.uint8]
    outline: Outline

    def mask(self, moved: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """How much of each place is lung, ``(14, 14)``; ``moved`` is what a copy's corners are multiplied with."""
        fine = Image.new("L", (lungs.PLACES * FINE, lungs.PLACES * FINE))
        pen = ImageDraw.Draw(fine)
        for lung in self.outline:
            corners = np.c_[np.array(lung) / 100, np.ones(len(lung))]
            if moved is not None:
                corners = corners @ moved.T
            pen.polygon([(x * fine.width, y * fine.height) for x, y, *_ in corners], fill=1)
        places = np.asarray(fine, float).reshape(lungs.PLACES, FINE, lungs.PLACES, FINE)
        return np.asarray(places.mean(axis=(1, 3)))


def read(directory: Path, external: Path, outlines: Path = OUTLINES) -> list[Outlined]:
    """The outlined chests.

    Args:
        directory: the training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        external: other hospitals' chests; each folder in it is a source.
        outlines: the outlines by the files' names in these two.

    Raises:
        FileNotFoundError: where a file is missing.
    """
    spec, found = Preprocessing(), []
    for place, by_name in json.loads(outlines.read_text()).items():
        for name, outline in by_name.items():
            source, root = (OWN, directory) if place == OWN else (name.split("/")[0], external)
            found.append(Outlined(name, source, load_input(root / name, spec), outline))
    return found


def fit(chests: Sequence[Outlined], seed: int = SEED) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Each layer's kernel and bias, learnt from these chests and from changed copies of them."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    made = [_copy(chest, rng) for chest in chests for _ in range(COPIES)]
    images, masks = (np.stack(part).astype(np.float32) for part in zip(*made, strict=True))
    layers: list[Any] = [keras.Input((lungs.SIDE, lungs.SIDE, 3))]
    for number, channels in enumerate(lungs.CHANNELS):
        last = number == len(lungs.CHANNELS) - 1
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="sigmoid" if last else "relu"))
        if number < lungs.HALVED:
            layers.append(keras.layers.MaxPooling2D())
    model = keras.Sequential(layers)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(images) // BATCH))
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    model.fit(images, masks[..., np.newaxis], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    weights = model.get_weights()
    return list(zip(weights[::2], weights[1::2], strict=True))


def _copy(chest: Outlined, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A chest as another hospital might frame and expose it: what the network sees, and its mask."""
    turn, wide, high = np.deg2rad(rng.uniform(-9, 9)), *rng.uniform(0.8, 1.2, 2)
    mirrored = -1 if rng.random() < 0.5 else 1
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([wide * mirrored, high])
    moved = np.eye(3)
    moved[:2, :2], moved[:2, 2] = turned, 0.5 - turned @ [0.5, 0.5] + rng.uniform(-0.08, 0.08, 2)
    side = chest.input.shape[0]
    back = np.diag([side, side, 1]) @ np.linalg.inv(moved) @ np.diag([1 / side, 1 / side, 1])
    picture = Image.fromarray(chest.input).transform(
        (side, side), Image.Transform.AFFINE, tuple(back[:2].ravel()), Image.Resampling.BILINEAR
    )
    levels = 255 * (np.arange(256) / 255) ** rng.uniform(0.6, 1.6) * rng.uniform(0.8, 1) + rng.uniform(0, 25)
    exposed = np.clip(levels, 0, 255).astype(np.uint8)[np.asarray(picture)]
    seen = lungs.seen(exposed)
    seen[..., 0] += rng.normal(0, rng.uniform(0, 0.08), seen.shape[:2])
    return seen, chest.mask(moved)


def save(layers: Sequence[tuple[NDArray[Any], NDArray[Any]]], file: Path = lungs.FILE) -> None:
    """Store what :func:`fit` gives where :mod:`ml.inference.lungs` reads it."""
    named: dict[str, NDArray[Any]] = {}
    for number, (kernel, bias) in enumerate(layers):
        named |= {f"kernel{number}": kernel.astype(np.float16), f"bias{number}": bias.astype(np.float16)}
    with file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **named)


def dice(found: NDArray[Any], drawn: NDArray[Any]) -> float:
    """How much two masks agree: twice the places that both have, by the places that each has.

    Source: Dice, "Measures of the amount of ecologic association between species", 1945.
    """
    one, other = found >= 0.5, drawn >= 0.5
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def report(directory: Path, external: Path, *, write: bool = False) -> dict[str, list[float]]:
    """Measure the network, print by source how well it finds the lungs, and train it on all outlined chests.

    Each source is measured with a network that learnt from the other sources only.

    Args:
        directory: as for :func:`read`.
        external: as for :func:`read`.
        write: store the one that learnt from all.

    Returns:
        By source the Dice coefficient of each chest.
    """
    chests = read(directory, external)
    found: dict[str, list[float]] = {}
    for source in sorted({chest.source for chest in chests}):
        here = [chest for chest in chests if chest.source == source]
        layers = fit([chest for chest in chests if chest.source != source])
        masks = [lungs.mask(lungs.seen(chest.input), layers) for chest in here]
        found[source] = [round(dice(mask, chest.mask()), 3) for mask, chest in zip(masks, here, strict=True)]
        line = f"  {source:<18} {len(here):>3} chests: Dice {np.mean(found[source]):.3f}, at least {min(found[source])}"
        print(line, flush=True)
    if write:
        save(fit(chests))
        print(f"wrote {lungs.FILE}")
    return found
