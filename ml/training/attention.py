"""A training loss for evidence that lies outside the lungs.

Source: the idea of a loss on explanations is from Ross et al., "Right for the Right Reasons", 2017. The map is the same
as in readings (:mod:`ml.networks.explain`), computed in closed form.
"""

from typing import Any

import keras
from keras import ops

from ml.inference import evidence, lungs
from ml.networks.explain import PNEUMONIA


class EvidenceOutside(keras.layers.Layer):
    """The share of each image's map that lies neither on the lungs nor next to them, ``(n, 1)``; 0 if no lungs are
    found.

    Args:
        network: a VGG16 with the report's head. Its last two layers give the map's weights.
    """

    def __init__(self, network: keras.Model, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.hidden, self.last = network.get_layer("hidden"), network.get_layer("probabilities")

    def call(self, grey: Any, features: Any, hidden: Any) -> Any:
        """Compute the shares.

        Args:
            grey: ``(n, side, side, 1)`` 8-bit greyscale.
            features: ``(n, h, w, c)`` the last feature map.
            hidden: ``(n, 512)`` the values of the hidden layer.
        """
        # The gradient of the logit with respect to a channel's mean.
        gradient = ops.matmul(
            ops.cast(hidden > 0, "float32") * self.last.kernel[:, PNEUMONIA], ops.transpose(self.hidden.kernel)
        )
        weighted = ops.relu(ops.sum(features * gradient[:, None, None, :], axis=-1, keepdims=True))
        lung_masks = masks(grey)
        inside = ops.max_pool(lung_masks, (3, 3), strides=(1, 1), padding="same", data_format="channels_last")
        inside = ops.image.resize(inside, features.shape[1:3], interpolation="bilinear", data_format="channels_last")
        outside = ops.sum(weighted * (1 - inside), axis=(1, 2))
        share = outside / (ops.sum(weighted, axis=(1, 2)) + 1e-6)
        lungs_found = ops.mean(ops.cast(lung_masks >= 0.5, "float32"), axis=(1, 2)) >= evidence.FOUND
        return ops.where(lungs_found, share, 0.0)


def masks(grey: Any) -> Any:
    """The same as :func:`ml.inference.lungs.masks`, on the Keras backend: ``(n, 14, 14, 1)`` for 8-bit greyscale
    ``(n, side, side, 1)``."""
    size = (lungs.SIDE, lungs.SIDE)
    small = ops.image.resize(grey, size, interpolation="bilinear", antialias=True, data_format="channels_last")
    coordinates = ops.stack([ops.convert_to_tensor(lungs.ACROSS), ops.convert_to_tensor(lungs.DOWN)], axis=-1)
    coordinates = ops.broadcast_to(coordinates[None], (ops.shape(grey)[0], *size, 2))
    values = ops.concatenate([small / 127.5 - 1, coordinates], axis=-1)
    for number, (kernel, bias) in enumerate(lungs.layers()):
        values = ops.conv(values, kernel, padding="same", data_format="channels_last")
        if number < lungs.POOLED:
            values = ops.max_pool(values, 2, strides=2, data_format="channels_last")
        values = values + bias
        if number < len(lungs.CHANNELS) - 1:
            values = ops.relu(values)
    return ops.stop_gradient(ops.sigmoid(values))
