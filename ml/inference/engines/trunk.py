"""The base class of engines that run only a VGG16's convolutions, its trunk. The head runs in NumPy."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundles.bundle import Bundle
from ml.errors import BundleError, EngineError
from ml.inference import machine
from ml.inference.engines import convolutions
from ml.inference.engines.head import Head
from ml.inference.engines.interface import Readings
from ml.pictures.preprocess import to_tensor

Floats = NDArray[np.float32]

#: The number of images that go through the network together. More need more memory and are hardly faster.
TOGETHER = 4


class TrunkEngine(ABC):
    """A VGG16 bundle in a library that runs its convolutions. See :class:`ml.inference.engines.Engine`.

    Attributes:
        name: the engine's name.
        library: the library's name in messages.
        tolerance: how far the last feature map may differ from NumPy's, as a part of its largest value.
        together: the number of images that the library gets together.

    Raises:
        BundleError: if the bundle's weights are not those of a VGG16.
        EngineError: if the library's results do not match the weights.
    """

    name: str
    library: str
    tolerance: float
    together = TOGETHER

    def __init__(self, bundle: Bundle) -> None:
        weights = bundle.weights()
        if set(weights) != convolutions.WEIGHTS:
            raise BundleError(f"{bundle.path} does not hold the weights of a {bundle.architecture}")
        self._size, self._scaling = bundle.preprocessing.size, bundle.preprocessing.scaling
        self._head = Head(weights, bundle.calibration)
        threads = machine.cores()
        self._load(bundle, weights, threads)
        self.device = f"{machine.processor()}, {threads} thread{'s' * (threads > 1)}"
        self._check(weights)

    @abstractmethod
    def _load(self, bundle: Bundle, weights: Mapping[str, Floats], threads: int) -> None:
        """Load the convolutions into the library."""

    @abstractmethod
    def _last_map(self, batch: NDArray[np.uint8]) -> Floats:
        """The last feature map before pooling, ``(n, 512, h, w)``."""

    def predict(self, batch: NDArray[np.uint8]) -> Floats:
        return self.read(batch).probabilities

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        parts = [self._head.read(features) for features in self._last_maps(batch)]
        return Readings(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Readings)))

    def hidden(self, batch: NDArray[np.uint8]) -> Floats:
        """The hidden layer before the outputs, ``(n, 512)``, for a batch as in :meth:`read`."""
        return np.concatenate([self._head.hidden(features) for features in self._last_maps(batch)])

    def warm_up(self, max_batch: int) -> None:
        for count in sorted({1, min(max_batch, self.together)}):
            self.read(np.zeros((count, self._size, self._size), dtype=np.uint8))

    def _last_maps(self, batch: NDArray[np.uint8]) -> Iterator[Floats]:
        for start in range(0, len(batch), self.together):
            yield self._last_map(batch[start : start + self.together])

    def _check(self, weights: Mapping[str, Floats]) -> None:
        """Compare the library's results with NumPy's, because another build or processor may run other code."""
        image = smooth_picture(self._size)
        expected = convolutions.last_map(to_tensor(image, self._scaling)[0], weights)
        feature_map = self._last_map(image)[0].transpose(1, 2, 0)
        apart = float(np.abs(feature_map - expected).max() / np.abs(expected).max())
        if not apart <= self.tolerance:  # also true for NaN
            raise EngineError(
                f"{self.library} does not compute on this machine what the model's weights say: it is {apart:.2g} of "
                f"the largest value away, and {self.tolerance:g} is allowed. Set ENGINE=keras"
            )


def smooth_picture(size: int) -> NDArray[np.uint8]:
    """A picture to check an engine with, ``(1, size, size)``.

    Its shades are smooth like those of an X-ray: quantization ranges chosen on X-rays do not fit noise.
    """
    shades = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(shades).resize((size, size), Image.Resampling.BICUBIC))[np.newaxis]
