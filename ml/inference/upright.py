"""Detect turned and inverted chest X-rays, with a small convolutional network that is used with every bundle.

It scores eight orientations of a chest: turned by zero to three quarter turns, each also inverted. Upright means air
dark and bone bright. It was trained on turned and inverted chests only (:mod:`ml.training.upright`), so its answer
means nothing for pictures that show no chest.
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
#: The width and height of the network's input in pixels.
SIDE = 28
#: The output channels of its 3x3 convolutions, and how many of them, from the first on, are followed by max pooling. A
#: dense layer comes last.
CHANNELS = (8, 16, 16)
POOLED = 2
#: The orientations: quarter turns to the left, and whether the chest is inverted.
WAYS = tuple((quarters, inverted) for inverted in (False, True) for quarters in range(4))
#: Log-odds from which a chest counts as turned or inverted.
LIMIT = 2.0


def turned(inputs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which chests are turned by a quarter or more, or inverted, ``(n,)``.

    Args:
        inputs: ``(n, size, size)`` from :func:`ml.pictures.preprocess.to_input`.
    """
    return odds(inputs, layers()) >= LIMIT


def odds(inputs: NDArray[np.uint8], weights: Layers) -> NDArray[np.float64]:
    """The log-odds that each chest is turned or inverted, ``(n,)``, given each layer's kernel and bias."""
    ways = np.stack([scores(network_input(image), weights) for image in inputs]).astype(np.float64)
    return np.asarray(np.logaddexp.reduce(ways[:, 1:], axis=1) - ways[:, 0])


def network_input(image: NDArray[np.uint8]) -> Floats:
    """The network's input for an image, ``(28, 28, 1)``."""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return small[..., np.newaxis] / 127.5 - 1


def scores(values: Floats, weights: Layers) -> Floats:
    """A score for each of the :data:`WAYS`, ``(8,)``: the logits of their probabilities."""
    *convolutional_layers, (dense, bias) = weights
    for index, (kernel, layer_bias) in enumerate(convolutional_layers):
        values = np.maximum(convolutions.convolve(values, kernel) + layer_bias, 0)
        if index < POOLED:
            values = convolutions.max_pool(values)
    return np.asarray(values.ravel() @ dense + bias, dtype=np.float32)


@cache
def layers() -> Layers:
    """The kernel and bias of each layer."""
    with np.load(FILE, allow_pickle=False) as arrays:
        return [
            (arrays[f"kernel{number}"].astype(np.float32), arrays[f"bias{number}"].astype(np.float32))
            for number in range(len(CHANNELS) + 1)
        ]
