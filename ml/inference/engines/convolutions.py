"""VGG16's convolutions in NumPy: slow and plain. What an engine computes of the same weights is compared with it."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: The names of the convolutions of each block. After each block but the last, a map is halved.
BLOCKS = [[f"block{block}_conv{number}" for number in range(1, count + 1)]
          for block, count in enumerate((2, 2, 3, 3, 3), 1)]  # fmt: skip
#: The names of all weights of a VGG16, as bundles have them.
WEIGHTS = {f"{layer}/{part}" for layer in (*chain(*BLOCKS), "hidden", "probabilities") for part in ("kernel", "bias")}


def last_map(image: Floats, weights: Mapping[str, Floats]) -> Floats:
    """From one image ``(h, w, 3)`` to the last feature map ``(h', w', 512)``, before it is pooled."""
    values = image
    for block, layers in enumerate(BLOCKS):
        if block:
            values = halved(values)
        for layer in layers:
            values = np.maximum(convolved(values, weights[f"{layer}/kernel"]) + weights[f"{layer}/bias"], 0)
    return values


def convolved(values: Floats, kernel: Floats) -> Floats:
    """A map ``(h, w, c)`` convolved with a kernel ``(3, 3, c, c')``, with zeros around it."""
    height, width, channels = values.shape
    # Of each place the three beside each other in a row: three large products take less time than many small ones.
    beside = np.zeros((height + 2, width, 3, channels), np.float32)
    beside[1:-1, 1:, 0] = values[:, :-1]
    beside[1:-1, :, 1] = values
    beside[1:-1, :-1, 2] = values[:, 1:]
    rows, factors = beside.reshape(height + 2, width, -1), kernel.reshape(3, 3 * channels, -1)
    above, here, below = (rows[row : row + height].reshape(height * width, -1) @ factors[row] for row in range(3))
    above += here
    above += below
    return above.reshape(height, width, -1)


def halved(values: Floats) -> Floats:
    """The largest value of each two by two places of a map ``(h, w, c)``; a last odd row or column is left out."""
    even = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
    rows = np.maximum(even[::2], even[1::2])
    return np.maximum(rows[:, ::2], rows[:, 1::2])
