"""Keras with any of its backends, on a GPU if there is one."""

import keras
import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference.engines.interface import Readings
from ml.networks import explain
from ml.pictures.preprocess import to_tensor


class KerasEngine:
    """A bundle in Keras, in float32. See :class:`ml.inference.engines.Engine`."""

    name = "keras"

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.load_model()
        self._calibration = bundle.calibration
        # By default Keras compiles with XLA, whose convolutions on a CPU are a third as fast as those of oneDNN.
        self._model.compile(jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
        self._read = explain.reader(self._model)
        self._size, self._scaling = bundle.preprocessing.size, bundle.preprocessing.scaling
        self.device = f"{keras.backend.backend()} {_accelerator() or 'cpu'}"

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        # predict() would set up a data pipeline for each call, which takes as long as half an image.
        outputs = self._model.predict_on_batch(to_tensor(batch, self._scaling))
        outputs = np.asarray(keras.ops.convert_to_numpy(outputs), dtype=np.float32)
        return self._calibration.apply_to_outputs(outputs)

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        outputs, features, maps = (
            np.asarray(keras.ops.convert_to_numpy(part), dtype=np.float32)
            for part in self._read(to_tensor(batch, self._scaling))
        )
        return Readings(self._calibration.apply_to_outputs(outputs), features, maps)

    def warm_up(self, max_batch: int) -> None:
        # The first call compiles, for any batch size; the largest batch allocates the memory.
        for count in sorted({1, max_batch}):
            self.read(np.zeros((count, self._size, self._size), dtype=np.uint8))


def _accelerator() -> str | None:
    """The first GPU that the Keras backend sees, if any."""
    if keras.backend.backend() == "torch":
        import torch

        return f"gpu:{torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else None
    try:
        return next(iter(keras.distribution.list_devices("gpu")), None)
    except RuntimeError:  # JAX without one
        return None
