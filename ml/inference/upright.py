"""Whether a chest X-ray hangs upright with air dark and bone bright: a small convolutional network, for every bundle.

It says how likely each of eight ways is in which a chest may come: turned by none to three quarters, and the same
inverted. It learnt from chests that were turned and inverted (:mod:`ml.training.upright`), so that it tells nothing of
pictures that show no chest.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.engines import convolutions

Floats = NDArray[np.float32]
Layers = Sequence[tuple[Floats, Floats]]

FILE = Path(__file__).with_name("upright.npz")
#: Pixels on each side of what the network sees.
SIDE = 28
#: The channels of its convolutions of 3x3, after each of the first of which a map is halved; then comes a dense layer.
CHANNELS = (8, 16, 16)
HALVED = 2
#: Quarters of a turn to the left, and whether it is inverted.
WAYS = tuple((quarters, inverted) for inverted in (False, True) for quarters in range(4))
#: Log-odds from which a chest counts as turned or inverted.
LIMIT = 2.0


def turned(inputs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which chests are turned by a quarter or more, or inverted, ``(n,)``.

    Args:
        inputs: ``(n, size, size)`` from :func:`ml.pictures.preprocess.to_input`.
    """
    return odds(inputs, layers()) >= LIMIT


def odds(inputs: NDArray[np.uint8], learnt: Layers) -> NDArray[np.float64]:
    """The log-odds that each chest is turned or inverted, ``(n,)``, given each layer's kernel and bias."""
    ways = np.stack([scores(seen(image), learnt) for image in inputs]).astype(np.float64)
    return np.asarray(np.logaddexp.reduce(ways[:, 1:], axis=1) - ways[:, 0])


def seen(image: NDArray[np.uint8]) -> Floats:
    """What the network sees of an input, ``(28, 28, 1)``."""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return small[..., np.newaxis] / 127.5 - 1


def scores(values: Floats, learnt: Layers) -> Floats:
    """A score of each of the :data:`WAYS`, ``(8,)``; the exponentials of these are in the ratio of what is likely."""
    *convolved, (dense, bias) = learnt
    for number, (kernel, added) in enumerate(convolved):
        values = np.maximum(convolutions.convolved(values, kernel) + added, 0)
        if number < HALVED:
            values = convolutions.halved(values)
    return np.asarray(values.ravel() @ dense + bias, dtype=np.float32)


@cache
def layers() -> Layers:
    """The kernel and bias of each layer."""
    with np.load(FILE, allow_pickle=False) as arrays:
        return [
            (arrays[f"kernel{number}"].astype(np.float32), arrays[f"bias{number}"].astype(np.float32))
            for number in range(len(CHANNELS) + 1)
        ]
