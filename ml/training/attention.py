"""Where a network's evidence lies while it is trained: a loss on what lies outside the lungs.

Source: the idea of a loss on explanations is that of Ross et al., "Right for the Right Reasons", 2017; the map is that
of every reading (:mod:`ml.networks.explain`), in closed form.
"""

from typing import Any

import keras
from keras import ops

from ml.inference import evidence, lungs
from ml.networks.explain import PNEUMONIA


class EvidenceOutside(keras.layers.Layer):
    """The share of each image's map that lies neither on the lungs nor beside them, ``(n, 1)``; 0 where no lungs are
    found.

    Args:
        network: VGG16 with the report's head, whose layers give the map's weights.
    """

    def __init__(self, network: keras.Model, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.hidden, self.last = network.get_layer("hidden"), network.get_layer("probabilities")

    def call(self, grey: Any, features: Any, hidden: Any) -> Any:
        """From 8-bit grey ``(n, side, side, 1)``, the last feature map ``(n, h, w, c)`` and the hidden layer's values
        ``(n, 512)``."""
        # The gradient of the logit with respect to a channel's mean.
        slope = ops.matmul(
            ops.cast(hidden > 0, "float32") * self.last.kernel[:, PNEUMONIA], ops.transpose(self.hidden.kernel)
        )
        weighted = ops.relu(ops.sum(features * slope[:, None, None, :], axis=-1, keepdims=True))
        found = masks(grey)
        inside = ops.max_pool(found, (3, 3), strides=(1, 1), padding="same", data_format="channels_last")
        inside = ops.image.resize(inside, features.shape[1:3], interpolation="bilinear", data_format="channels_last")
        away = ops.sum(weighted * (1 - inside), axis=(1, 2))
        share = away / (ops.sum(weighted, axis=(1, 2)) + 1e-6)
        known = ops.mean(ops.cast(found >= 0.5, "float32"), axis=(1, 2)) >= evidence.FOUND
        return ops.where(known, share, 0.0)


def masks(grey: Any) -> Any:
    """As :func:`ml.inference.lungs.masks`, on Keras' backend: ``(n, 14, 14, 1)`` for 8-bit grey
    ``(n, side, side, 1)``."""
    size = (lungs.SIDE, lungs.SIDE)
    small = ops.image.resize(grey, size, interpolation="bilinear", antialias=True, data_format="channels_last")
    places = ops.stack([ops.convert_to_tensor(lungs.ACROSS), ops.convert_to_tensor(lungs.DOWN)], axis=-1)
    places = ops.broadcast_to(places[None], (ops.shape(grey)[0], *size, 2))
    values = ops.concatenate([small / 127.5 - 1, places], axis=-1)
    for number, (kernel, bias) in enumerate(lungs.layers()):
        values = ops.conv(values, kernel, padding="same", data_format="channels_last")
        if number < lungs.HALVED:
            values = ops.max_pool(values, 2, strides=2, data_format="channels_last")
        values = values + bias
        if number < len(lungs.CHANNELS) - 1:
            values = ops.relu(values)
    return ops.stop_gradient(ops.sigmoid(values))
