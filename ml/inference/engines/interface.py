"""The interface that all engines share."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: The key in ``bundle.json`` for what is needed to read in 8-bit integers.
INT8 = "int8"
#: The precisions in which Keras can compute, the default first.
PRECISIONS = FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"


@dataclass(frozen=True)
class Readings:
    """The outputs of one pass through the network for a batch of n images.

    Attributes:
        probabilities: ``(n, 2)`` float32: the probabilities of normal and of pneumonia.
        features: ``(n, d)`` float32: the network's last feature map, averaged over each quarter of the image. They are
            the input of :class:`ml.inference.novelty.Check`.
        maps: ``(n, h, w)`` float32, at least 0: where the network found evidence of pneumonia
            (:mod:`ml.networks.explain`).
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    maps: NDArray[np.float32]


class Engine(Protocol):
    """A loaded model.

    Attributes:
        name: its name in :data:`ml.inference.engines.ENGINES`, and its precision where that was chosen.
        device: a description of the device that it computes on.
    """

    name: str
    device: str

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Read a batch.

        Args:
            batch: ``(n, size, size)`` 8-bit greyscale from :func:`ml.pictures.preprocess.to_input`, n at least 1.

        Returns:
            ``(n, 2)`` float32: the probabilities of normal and of pneumonia.
        """

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        """Read a batch: probabilities, features and Grad-CAM maps in one pass.

        Args:
            batch: the same as for :meth:`predict`.
        """

    def warm_up(self, max_batch: int) -> None:
        """Compile and allocate what :meth:`read` needs for batches of 1 to ``max_batch`` images."""
