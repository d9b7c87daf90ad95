"""Keras with any of its backends, on a GPU if there is one."""

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.errors import EngineError
from ml.inference.engines.interface import FLOAT32, Readings
from ml.inference.engines.trunk import smooth_picture
from ml.networks import explain
from ml.pictures.preprocess import to_tensor

#: How far the features of another precision may differ from those of float32, as a part of the largest one.
TOLERANCE = 0.05


class KerasEngine:
    """A bundle in Keras. See :class:`ml.inference.engines.Engine`.

    Args:
        bundle: the bundle.
        precision: one of :data:`ml.inference.engines.PRECISIONS`, for the convolutions. Weights and head stay float32.

    Raises:
        BundleError: if the bundle's weights are not those of its network.
        EngineError: if another precision gives other features than float32.
    """

    def __init__(self, bundle: Bundle, precision: str = FLOAT32) -> None:
        self._model = bundle.load_model()
        self._calibration = bundle.calibration
        # By default Keras compiles with XLA, whose convolutions on a CPU are a third as fast as those of oneDNN.
        self._model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
        self._read = explain.reader(self._model)
        self._size, self._scaling = bundle.preprocessing.size, bundle.preprocessing.scaling
        self._precision, self.name = precision, "keras"
        accelerator = _accelerator()
        self.device = f"{keras.backend.backend()} {accelerator or 'cpu'}"
        # JAX compiles for each size of a batch, and a GPU's library looks for the fastest convolution for each.
        self._few_sizes = bool(accelerator) or keras.backend.backend() == "jax"
        self._sizes: list[int] = []
        if precision != FLOAT32:
            self.name = f"keras {precision}"
            image = smooth_picture(self._size)
            expected = self.read(image).features
            self._read = explain.reader(self._model, f"mixed_{precision}")
            self._check(self.read(image).features, expected)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._precision != FLOAT32:
            return self.read(batch).probabilities
        # predict() would set up a data pipeline for each call, which takes as long as half an image.
        outputs = self._model.predict_on_batch(self._padded(batch))
        outputs = np.asarray(keras.ops.convert_to_numpy(outputs), dtype=np.float32)[: len(batch)]
        return self._calibration.apply_to_outputs(outputs)

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        outputs, features, maps = (
            np.asarray(keras.ops.convert_to_numpy(part), dtype=np.float32)[: len(batch)]
            for part in self._read(self._padded(batch))
        )
        # A feature above float16's largest value, 65504, is infinite, and the head would give it a probability.
        finite = np.isfinite(features).all(axis=1, keepdims=True)
        probabilities = self._calibration.apply_to_outputs(outputs)
        return Readings(np.where(finite, probabilities, np.float32("nan")), features, maps)

    def warm_up(self, max_batch: int) -> None:
        # The first call compiles; the largest batch allocates the memory.
        sizes = {1, max_batch}
        if self._few_sizes:
            sizes |= {2**power for power in range(max_batch.bit_length())}
            self._sizes = sorted(sizes.union(self._sizes))
        for count in sorted(sizes):
            self.read(np.zeros((count, self._size, self._size), dtype=np.uint8))

    def _padded(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's input, with empty images up to the next size that is warm."""
        size = next((size for size in self._sizes if size >= len(batch)), len(batch))
        empty = np.zeros((size - len(batch), self._size, self._size), dtype=np.uint8)
        return to_tensor(np.concatenate([batch, empty]) if len(empty) else batch, self._scaling)

    def _check(self, features: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        apart = float(np.abs(features - expected).max() / np.abs(expected).max())
        if not apart <= TOLERANCE:  # also true for NaN
            raise EngineError(
                f"Keras computes in {self._precision} something else than in {FLOAT32}: it is {apart:.2g} of the "
                f"largest value away, and {TOLERANCE:g} is allowed. Set KERAS_PRECISION={FLOAT32}"
            )


def _accelerator() -> str | None:
    """The first GPU that the Keras backend sees, if any."""
    if keras.backend.backend() == "torch":
        import torch

        return f"gpu:{torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else None
    try:
        return next(iter(keras.distribution.list_devices("gpu")), None)
    except RuntimeError:  # JAX without one
        return None
