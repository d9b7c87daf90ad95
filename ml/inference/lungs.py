"""Where the lungs lie in a frontal chest: a small convolutional network for the readings of every bundle.

It says of each of 14x14 places how much of it is lung, opaque parts included, the heart not. It learnt from outlines
drawn by hand (``ml/dataset/outlines``; :mod:`ml.training.lungs`).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.inference.engines import convolutions

Floats = NDArray[np.float32]

FILE = Path(__file__).with_name("lungs.npz")
#: Pixels on each side of what the network sees, and places on each side of its answer.
SIDE, PLACES = 56, 14
#: Each pixel's place.
DOWN, ACROSS = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
#: The channels of its convolutions of 3x3; after each of the first two a map is halved.
CHANNELS = (12, 24, 32, 32, 32, 1)
HALVED = 2


def masks(inputs: NDArray[np.uint8]) -> Floats:
    """How much of each place is lung, ``(n, 14, 14)`` from 0 to 1.

    Args:
        inputs: ``(n, size, size)`` from :func:`ml.pictures.preprocess.to_input`.
    """
    return np.stack([mask(seen(image), layers()) for image in inputs])


def seen(image: NDArray[np.uint8]) -> Floats:
    """What the network sees of an input, ``(56, 56, 3)``: the picture, and each pixel's place across and down."""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return np.stack([small / 127.5 - 1, ACROSS, DOWN], axis=-1)


def mask(values: Floats, learnt: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The network's answer, ``(14, 14)``, to what it sees, given each layer's kernel and bias."""
    for number, (kernel, bias) in enumerate(learnt):
        values = convolutions.convolved(values, kernel)
        if number < HALVED:
            # The largest value stays the largest with what follows, of which there is less to compute now.
            values = convolutions.halved(values)
        values += bias
        if number < len(CHANNELS) - 1:
            values = np.maximum(values, 0)
    return np.asarray(1 / (1 + np.exp(-np.clip(values[..., 0], -30, 30))), dtype=np.float32)


@cache
def layers() -> list[tuple[Floats, Floats]]:
    """The kernel and bias of each layer."""
    with np.load(FILE, allow_pickle=False) as arrays:
        return [
            (arrays[f"kernel{number}"].astype(np.float32), arrays[f"bias{number}"].astype(np.float32))
            for number in range(len(CHANNELS))
        ]
