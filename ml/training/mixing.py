"""Augmentations that take something from another image of the batch, of any class, series or hospital.

In one hospital's images, the brightness and the surroundings of the chest may correlate with the class. The network
must not learn from these. Both layers are active only in training, and run on any Keras backend.
"""

from typing import Any

import keras
from keras import ops

#: The width and height of a generous box around the thorax in the middle of the image, as shares of the image's size.
CHEST = (0.72, 0.66)

#: The width and height, in cells, of the coarse brightness.
COARSE = 4


class Mixing(keras.layers.Layer):
    """Mixes something of another image of the batch into some of the ``(n, side, side, 1)`` grey images.

    Args:
        share: the probability that an image is changed.
        seed: the seed of the random numbers.
    """

    def __init__(self, share: float, seed: int, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.share = share
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        count = ops.shape(images)[0]
        # The other images are the batch shifted by a random number, at least 2: two views of an image never mix.
        shift = keras.random.randint((), 2, ops.maximum(count - 2, 3), seed=self.draws)
        others = ops.take(images, ops.mod(ops.arange(count) + shift, count), axis=0)
        chosen = self.uniform(count) < self.share
        return ops.where(chosen, self.mixed(images, others, count), images)

    def uniform(self, count: Any, low: float = 0.0, high: float = 1.0) -> Any:
        return keras.random.uniform((count, 1, 1, 1), low, high, seed=self.draws)

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        """The changed images, from ``(n, side, side, 1)`` images and the same number of other images."""
        raise NotImplementedError


class TakeStyle(Mixing):
    """Takes the distribution of grey levels and some of the coarse brightness from another image."""

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        side = images.shape[1]
        flat, target = (ops.reshape(each, (-1, side * side)) for each in (images, others))
        ranks = ops.argsort(ops.argsort(flat, axis=1), axis=1)
        matched = ops.reshape(ops.take_along_axis(ops.sort(target, axis=1), ranks, axis=1), ops.shape(images))
        levels = images + self.uniform(count) * (matched - images)
        coarse = _coarse(others) - _coarse(levels)
        return ops.clip(levels + self.uniform(count, 0.0, 0.5) * coarse, 0.0, 255.0)


class TakeOutside(Mixing):
    """Takes the surroundings of the chest from another image, outside a slightly varying box around the thorax."""

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        side = images.shape[1]
        coordinates = ops.reshape((ops.arange(side, dtype="float32") + 0.5) / side, (1, side))
        sides = []
        for part in CHEST:
            half = part / 2 + ops.reshape(self.uniform(count, 0.0, 0.08), (-1, 1))
            middle = 0.5 + ops.reshape(self.uniform(count, -0.03, 0.03), (-1, 1))
            # Falls from 1 inside to 0 outside over an eighth of the side.
            sides.append(ops.clip((half + 0.06 - ops.abs(coordinates - middle)) * 8.0, 0.0, 1.0))
        across, down = sides
        inside = ops.expand_dims(ops.expand_dims(down, 2) * ops.expand_dims(across, 1), 3)
        return inside * images + (1.0 - inside) * others


def _coarse(images: Any) -> Any:
    """Images reduced to a few pixels and enlarged to their size again."""
    side = images.shape[1]
    small = ops.average_pool(images, side // COARSE, strides=side // COARSE, padding="valid")
    return ops.image.resize(small, (side, side), interpolation="bilinear", data_format="channels_last")
