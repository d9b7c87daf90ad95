"""Find the lungs in a frontal chest X-ray, with a small convolutional network that is used with every bundle.

For each of 14x14 cells it estimates how much of the cell is lung, including opaque parts and excluding the heart. It
was trained on outlines drawn by hand (``ml/dataset/outlines``; :mod:`ml.training.lungs`).
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
#: The width and height of the network's input in pixels, and of its output in cells.
SIDE, PLACES = 56, 14
#: The coordinates of each pixel.
DOWN, ACROSS = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
#: The output channels of its 3x3 convolutions, and how many of them, from the first on, are followed by max pooling.
CHANNELS = (12, 24, 32, 32, 32, 1)
POOLED = 2


def masks(inputs: NDArray[np.uint8]) -> Floats:
    """How much of each cell is lung, ``(n, 14, 14)`` from 0 to 1.

    Args:
        inputs: ``(n, size, size)`` from :func:`ml.pictures.preprocess.to_input`.
    """
    return np.stack([mask(network_input(image), layers()) for image in inputs])


def network_input(image: NDArray[np.uint8]) -> Floats:
    """The network's input for an image, ``(56, 56, 3)``: the picture, and each pixel's x and y coordinates."""
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return np.stack([small / 127.5 - 1, ACROSS, DOWN], axis=-1)


def mask(values: Floats, weights: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The network's output, ``(14, 14)``, from :func:`network_input` and each layer's kernel and bias."""
    for index, (kernel, bias) in enumerate(weights):
        values = convolutions.convolve(values, kernel)
        if index < POOLED:
            # Pooling before bias and ReLU gives the same result, with fewer values to compute.
            values = convolutions.max_pool(values)
        values += bias
        if index < len(CHANNELS) - 1:
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
