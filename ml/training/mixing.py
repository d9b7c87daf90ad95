"""Changes that take something from another image of the batch, whatever its class, series or hospital.

What goes with a class in one hospital's images, but is not in the lungs, must not help: how bright the images are, and
what can be seen beside the chest. Both layers change nothing but while training, and run on any Keras backend.
"""

from typing import Any

import keras
from keras import ops

#: The width and height of a generous box around the thorax, in the middle of the image, as parts of it.
CHEST = (0.72, 0.66)

#: How much of a side the coarse brightness is made of: so many places.
COARSE = 4


class Mixing(keras.layers.Layer):
    """Shows a share of ``(n, side, side, 1)`` grey images with something of another image of the batch.

    Args:
        share: probability of each image.
        seed: of the draws.
    """

    def __init__(self, share: float, seed: int, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.share = share
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        count = ops.shape(images)[0]
        # Another image: the batch turned by a random number of places, which keeps two views of one apart.
        turn = keras.random.randint((), 2, ops.maximum(count - 2, 3), seed=self.draws)
        others = ops.take(images, ops.mod(ops.arange(count) + turn, count), axis=0)
        chosen = self.uniform(count) < self.share
        return ops.where(chosen, self.mixed(images, others, count), images)

    def uniform(self, count: Any, low: float = 0.0, high: float = 1.0) -> Any:
        return keras.random.uniform((count, 1, 1, 1), low, high, seed=self.draws)

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        """What a kind of mixing makes of ``(n, side, side, 1)`` images and as many others: images of the same shape."""
        raise NotImplementedError


class TakeStyle(Mixing):
    """Grey levels as another image distributes them, and some of its coarse brightness."""

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        side = images.shape[1]
        flat, wanted = (ops.reshape(each, (-1, side * side)) for each in (images, others))
        ranks = ops.argsort(ops.argsort(flat, axis=1), axis=1)
        matched = ops.reshape(ops.take_along_axis(ops.sort(wanted, axis=1), ranks, axis=1), ops.shape(images))
        levels = images + self.uniform(count) * (matched - images)
        coarse = _coarse(others) - _coarse(levels)
        return ops.clip(levels + self.uniform(count, 0.0, 0.5) * coarse, 0.0, 255.0)


class TakeOutside(Mixing):
    """The chest's surroundings from another image, at the edge of a box around the thorax that varies a little."""

    def mixed(self, images: Any, others: Any, count: Any) -> Any:
        side = images.shape[1]
        places = ops.reshape((ops.arange(side, dtype="float32") + 0.5) / side, (1, side))
        sides = []
        for part in CHEST:
            half = part / 2 + ops.reshape(self.uniform(count, 0.0, 0.08), (-1, 1))
            middle = 0.5 + ops.reshape(self.uniform(count, -0.03, 0.03), (-1, 1))
            # From 1 inside to 0 outside over an eighth of the side.
            sides.append(ops.clip((half + 0.06 - ops.abs(places - middle)) * 8.0, 0.0, 1.0))
        across, down = sides
        inside = ops.expand_dims(ops.expand_dims(down, 2) * ops.expand_dims(across, 1), 3)
        return inside * images + (1.0 - inside) * others


def _coarse(images: Any) -> Any:
    """What is left of images of a few pixels, as large as they were."""
    side = images.shape[1]
    small = ops.average_pool(images, side // COARSE, strides=side // COARSE, padding="valid")
    return ops.image.resize(small, (side, side), interpolation="bilinear", data_format="channels_last")
