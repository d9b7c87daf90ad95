"""Engines run a bundle's network. All share one interface, so that the service can choose one by measurement."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle


@dataclass(frozen=True)
class Readings:
    """The outputs of one pass through the network for a batch of n images.

    Attributes:
        probabilities: ``(n, 2)`` float32: of normal and of pneumonia.
        features: ``(n, d)`` float32: the network's last feature map, averaged over each quarter of the image; what
            :class:`ml.inference.novelty.Check` looks at.
        maps: ``(n, h, w)`` float32, at least 0: where the network found what speaks for pneumonia
        (:mod:`ml.networks.explain`).
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    maps: NDArray[np.float32]


class Engine(Protocol):
    """A loaded model.

    Attributes:
        device: what it computes on, in words.
    """

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
            batch: as for :meth:`predict`.
        """

    def warm_up(self, max_batch: int) -> None:
        """Compile and allocate whatever :meth:`read` will need for batches of 1 to ``max_batch`` images."""


def load(path: Path, name: str = "keras") -> Engine:
    """Load a bundle into an engine.

    Args:
        path: the bundle's folder.
        name: ``keras``.

    Raises:
        BundleError: where the bundle cannot be used.
        ValueError: for an unknown engine.
    """
    if name not in _ENGINES:
        raise ValueError(f"unknown engine {name!r}; known: {', '.join(sorted(_ENGINES))}")
    return _ENGINES[name](Bundle.read(path))


def _keras(bundle: Bundle) -> Engine:
    # Imported late: a process that only asks which engines there are need not load a framework.
    from ml.inference.engines.keras_engine import KerasEngine

    return KerasEngine(bundle)


_ENGINES: dict[str, Callable[[Bundle], Engine]] = {"keras": _keras}
