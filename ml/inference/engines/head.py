"""The head of a VGG16 after its last feature map, in NumPy, for engines that run its convolutions only."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ml.inference.engines import Readings
from ml.statistics.calibration import Calibration

Floats = NDArray[np.float32]


class Head:
    """Max pooling, global average pooling, Dense 512 and two sigmoid outputs, as ``ml.networks.architectures`` has it.

    Args:
        weights: of :meth:`ml.bundles.bundle.Bundle.weights`.
        calibration: of the bundle.
    """

    def __init__(self, weights: Mapping[str, Floats], calibration: Calibration) -> None:
        self._hidden, self._hidden_bias = weights["hidden/kernel"], weights["hidden/bias"]
        self._outputs, self._outputs_bias = weights["probabilities/kernel"], weights["probabilities/bias"]
        self._calibration = calibration

    def read(self, features: Floats) -> Readings:
        """From the last feature map, ``(n, c, h, w)``, to a reading.

        Grad-CAM needs no differentiation here. A place's share in the average is the same everywhere, and max pooling
        hands the slope of each pooled place to one place: the slopes of a channel add up to that of its average.
        """
        before = _halved(features).mean(axis=(2, 3)) @ self._hidden + self._hidden_bias
        logits = np.maximum(before, 0) @ self._outputs + self._outputs_bias
        slopes = ((before > 0) * self._outputs[:, -1]) @ self._hidden.T
        evidence = np.einsum("nchw,nc->nhw", features, slopes, optimize=True)
        # In double precision an exponential of a logit never overflows.
        probabilities = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
        return Readings(self._calibration.apply_to_outputs(probabilities), _quarters(features), np.maximum(evidence, 0))


def _halved(features: Floats) -> Floats:
    """The largest value of each two by two places; a last odd row or column is left out."""
    n, channels, height, width = (*features.shape[:2], features.shape[2] // 2, features.shape[3] // 2)
    even = features[:, :, : 2 * height, : 2 * width]
    return even.reshape(n, channels, height, 2, width, 2).max(axis=(3, 5))


def _quarters(features: Floats) -> Floats:
    """``(n, c, h, w)`` averaged over each quarter of the image; quarters share the middle of an odd side."""
    height, width = features.shape[2:]
    rows = (features[:, :, : (height + 1) // 2], features[:, :, height // 2 :])
    parts = [part for row in rows for part in (row[..., : (width + 1) // 2], row[..., width // 2 :])]
    return np.concatenate([part.mean(axis=(2, 3)) for part in parts], axis=1)
