"""The head of a VGG16 after its last feature map, in NumPy, for engines that run only its convolutions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.inference.engines.interface import Readings
from ml.statistics.calibration import Calibration

Floats = NDArray[np.float32]


class Head:
    """Max pooling, global average pooling, Dense 512 and two sigmoid outputs, as in ``ml.networks.architectures``.

    Args:
        weights: from :meth:`ml.bundles.bundle.Bundle.weights`.
        calibration: the bundle's calibration.
    """

    def __init__(self, weights: Mapping[str, Floats], calibration: Calibration) -> None:
        self._hidden, self._hidden_bias = weights["hidden/kernel"], weights["hidden/bias"]
        self._outputs, self._outputs_bias = weights["probabilities/kernel"], weights["probabilities/bias"]
        self._calibration = calibration

    def hidden(self, features: Floats) -> Floats:
        """The hidden layer, ``(n, 512)``, from the last feature map, ``(n, c, h, w)``."""
        return np.maximum(_max_pool(features).mean(axis=(2, 3)) @ self._hidden + self._hidden_bias, 0)

    def read(self, features: Floats) -> Readings:
        """The readings from the last feature map, ``(n, c, h, w)``.

        Grad-CAM needs no differentiation here. Every position has the same weight in the average, and max pooling
        passes the gradient of each pooled position to one position. So the gradients of a channel add up to the
        gradient of its average.
        """
        hidden = self.hidden(features)
        logits = hidden @ self._outputs + self._outputs_bias
        gradients = ((hidden > 0) * self._outputs[:, -1]) @ self._hidden.T
        n, channels, height, width = features.shape
        evidence = (gradients[:, None] @ features.reshape(n, channels, -1)).reshape(n, height, width)
        # In double precision the exponential of a logit never overflows.
        probabilities = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        return Readings(self._calibration.apply_to_outputs(probabilities), _quarters(features), np.maximum(evidence, 0))


def log_odds(weights: Mapping[str, Floats], hidden: NDArray[Any]) -> NDArray[np.float64]:
    """The log-odds of pneumonia before calibration, ``(n,)``, from the hidden layer, ``(n, 512)``."""
    kernel, bias = weights["probabilities/kernel"], weights["probabilities/bias"]
    return np.asarray(hidden.astype(np.float64) @ kernel[:, 1] + bias[1])


def _max_pool(features: Floats) -> Floats:
    """Max pooling over 2x2 positions. A last odd row or column is dropped."""
    height, width = (side // 2 * 2 for side in features.shape[2:])
    rows = np.maximum(features[:, :, 0:height:2], features[:, :, 1:height:2])
    return np.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def _quarters(features: Floats) -> Floats:
    """Features ``(n, c, h, w)`` averaged over each quarter of the image. Quarters share the middle of an odd side."""
    n, channels, height, width = features.shape
    down, across = (np.zeros((2, side), np.float32) for side in (height, width))
    for half in (down, across):
        side = half.shape[1]
        half[0, : (side + 1) // 2] = half[1, side // 2 :] = 1 / ((side + 1) // 2)
    # One matrix multiplication takes a tenth of the time of four means.
    shares = np.einsum("ah,bw->hwab", down, across).reshape(height * width, 4)
    return (features.reshape(n, channels, -1) @ shares).transpose(0, 2, 1).reshape(n, -1)
