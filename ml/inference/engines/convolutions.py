"""VGG16's convolutions in NumPy: slow and simple. Engines are checked against them."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: The names of the convolutions in each block. Max pooling follows each block except the last.
BLOCKS = [[f"block{block}_conv{number}" for number in range(1, count + 1)]
          for block, count in enumerate((2, 2, 3, 3, 3), 1)]  # fmt: skip
#: The names of all weights of a VGG16 in a bundle.
WEIGHTS = {f"{layer}/{part}" for layer in (*chain(*BLOCKS), "hidden", "probabilities") for part in ("kernel", "bias")}


def last_map(image: Floats, weights: Mapping[str, Floats]) -> Floats:
    """The last feature map ``(h', w', 512)`` of an image ``(h, w, 3)``, before pooling."""
    values = image
    for block, layers in enumerate(BLOCKS):
        if block:
            values = max_pool(values)
        for layer in layers:
            values = np.maximum(convolve(values, weights[f"{layer}/kernel"]) + weights[f"{layer}/bias"], 0)
    return values


def convolve(values: Floats, kernel: Floats) -> Floats:
    """Convolve a map ``(h, w, c)`` with a kernel ``(3, 3, c, c')``, with zero padding."""
    height, width, channels = values.shape
    # Each position with its two neighbours in the row: three large products are faster than many small ones.
    neighbours = np.zeros((height + 2, width, 3, channels), np.float32)
    neighbours[1:-1, 1:, 0] = values[:, :-1]
    neighbours[1:-1, :, 1] = values
    neighbours[1:-1, :-1, 2] = values[:, 1:]
    rows, factors = neighbours.reshape(height + 2, width, -1), kernel.reshape(3, 3 * channels, -1)
    above, middle, below = (rows[row : row + height].reshape(height * width, -1) @ factors[row] for row in range(3))
    above += middle
    above += below
    return above.reshape(height, width, -1)


def max_pool(values: Floats) -> Floats:
    """Max pooling of a map ``(h, w, c)`` over 2x2 positions. A last odd row or column is dropped."""
    even = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
    rows = np.maximum(even[::2], even[1::2])
    return np.maximum(rows[:, ::2], rows[:, 1::2])
