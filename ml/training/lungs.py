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
#: The number of augmented copies of each chest: rotated, moved, stretched, mirrored and with another exposure.
COPIES = 24
EPOCHS, BATCH = 10, 32
RATE = 3e-3
#: The number of pixels along the side of a cell when an outline is drawn.
FINE = 8
SEED = 7

Outline = list[list[list[float]]]


@dataclass(frozen=True)
class Outlined:
    """A chest whose lungs were outlined.

    Attributes:
        name: the name of its file.
        source: ``own``, or the collection that it comes from.
        input: ``(224, 224)`` the model's input.
        outline: the corners of each lung, with x and y in percent of the picture's width and height.
    """

    name: str
    source: str
    input: NDArray[np.uint8]
    outline: Outline

    def mask(self, moved: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """How much of each cell is lung, ``(14, 14)``. A copy's affine matrix ``moved`` is applied to the corners."""
        fine = Image.new("L", (lungs.PLACES * FINE, lungs.PLACES * FINE))
        pen = ImageDraw.Draw(fine)
        for lung in self.outline:
            corners = np.c_[np.array(lung) / 100, np.ones(len(lung))]
            if moved is not None:
                corners = corners @ moved.T
            pen.polygon([(x * fine.width, y * fine.height) for x, y, *_ in corners], fill=1)
        cells = np.asarray(fine, float).reshape(lungs.PLACES, FINE, lungs.PLACES, FINE)
        return np.asarray(cells.mean(axis=(1, 3)))


def read(directory: Path, external: Path, outlines: Path = OUTLINES) -> list[Outlined]:
    """The outlined chests.

    Args:
        directory: the training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        external: other hospitals' chests; each subfolder is a source.
        outlines: the outlines, by the names of the files in these two folders.

    Raises:
        FileNotFoundError: if a file is missing.
    """
    spec, chests = Preprocessing(), []
    for group, by_name in json.loads(outlines.read_text()).items():
        for name, outline in by_name.items():
            source, root = (OWN, directory) if group == OWN else (name.split("/")[0], external)
            chests.append(Outlined(name, source, load_input(root / name, spec), outline))
    return chests


def fit(chests: Sequence[Outlined], seed: int = SEED) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Train the network on augmented copies of these chests, and return each layer's kernel and bias."""
    import keras

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    copies = [_copy(chest, rng) for chest in chests for _ in range(COPIES)]
    images, masks = (np.stack(part).astype(np.float32) for part in zip(*copies, strict=True))
    layers: list[Any] = [keras.Input((lungs.SIDE, lungs.SIDE, 3))]
    for index, channels in enumerate(lungs.CHANNELS):
        last = index == len(lungs.CHANNELS) - 1
        layers.append(keras.layers.Conv2D(channels, 3, padding="same", activation="sigmoid" if last else "relu"))
        if index < lungs.POOLED:
            layers.append(keras.layers.MaxPooling2D())
    model = keras.Sequential(layers)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(images) // BATCH))
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    model.fit(images, masks[..., np.newaxis], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    weights = model.get_weights()
    return list(zip(weights[::2], weights[1::2], strict=True))


def _copy(chest: Outlined, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A chest as another hospital might frame and expose it: the network's input and its mask."""
    angle, x_scale, y_scale = np.deg2rad(rng.uniform(-9, 9)), *rng.uniform(0.8, 1.2, 2)
    mirrored = -1 if rng.random() < 0.5 else 1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag(
        [x_scale * mirrored, y_scale]
    )
    transform = np.eye(3)
    transform[:2, :2], transform[:2, 2] = rotation, 0.5 - rotation @ [0.5, 0.5] + rng.uniform(-0.08, 0.08, 2)
    side = chest.input.shape[0]
    inverse = np.diag([side, side, 1]) @ np.linalg.inv(transform) @ np.diag([1 / side, 1 / side, 1])
    picture = Image.fromarray(chest.input).transform(
        (side, side), Image.Transform.AFFINE, tuple(inverse[:2].ravel()), Image.Resampling.BILINEAR
    )
    levels = 255 * (np.arange(256) / 255) ** rng.uniform(0.6, 1.6) * rng.uniform(0.8, 1) + rng.uniform(0, 25)
    exposed = np.clip(levels, 0, 255).astype(np.uint8)[np.asarray(picture)]
    network_input = lungs.network_input(exposed)
    network_input[..., 0] += rng.normal(0, rng.uniform(0, 0.08), network_input.shape[:2])
    return network_input, chest.mask(transform)


def save(layers: Sequence[tuple[NDArray[Any], NDArray[Any]]], file: Path = lungs.FILE) -> None:
    """Store the layers from :func:`fit` in the file that :mod:`ml.inference.lungs` reads."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, (kernel, bias) in enumerate(layers):
        arrays |= {f"kernel{number}": kernel.astype(np.float16), f"bias{number}": bias.astype(np.float16)}
    with file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def dice(found: NDArray[Any], drawn: NDArray[Any]) -> float:
    """How much two masks agree: twice the cells in both, divided by the sum of the cells in each.

    Source: Dice, "Measures of the amount of ecologic association between species", 1945.
    """
    found_cells, drawn_cells = found >= 0.5, drawn >= 0.5
    return float(2 * (found_cells & drawn_cells).sum() / max(1, found_cells.sum() + drawn_cells.sum()))


def report(directory: Path, external: Path, *, write: bool = False) -> dict[str, list[float]]:
    """Measure the network and print, for each source, how well it finds the lungs. Each source is measured with a
    network that is trained on the other sources only.

    Args:
        directory: see :func:`read`.
        external: see :func:`read`.
        write: whether to train the network on all outlined chests and store it.

    Returns:
        The Dice coefficient of each chest, by source.
    """
    chests = read(directory, external)
    found: dict[str, list[float]] = {}
    for source in sorted({chest.source for chest in chests}):
        used = [chest for chest in chests if chest.source == source]
        layers = fit([chest for chest in chests if chest.source != source])
        masks = [lungs.mask(lungs.network_input(chest.input), layers) for chest in used]
        found[source] = [round(dice(mask, chest.mask()), 3) for mask, chest in zip(masks, used, strict=True)]
        line = f"  {source:<18} {len(used):>3} chests: Dice {np.mean(found[source]):.3f}, at least {min(found[source])}"
        print(line, flush=True)
    if write:
        save(fit(chests))
        print(f"wrote {lungs.FILE}")
    return found
