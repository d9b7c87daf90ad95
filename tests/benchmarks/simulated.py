"""`celery -A tests.benchmarks.simulated worker …`: an infer worker whose device takes a fixed time for each batch.

Everything else is the service's real code: messages, claims, inputs, the processing of the network's output, results.
``SIMULATED_SECONDS`` is the time; ``ENGINE`` has to be ``simulated``.
"""

import os
import time

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference import engines, novelty
from worker.app import app

NAME = "simulated"
SECONDS = float(os.environ.get("SIMULATED_SECONDS") or 0)
#: Width and height of VGG16's last feature map.
SIDE = 14


class Simulated:
    """An engine that sleeps. One of 8 images is positive, and one is unclear."""

    name = device = NAME

    def __init__(self, bundle: Bundle) -> None:
        check = novelty.load(bundle)
        assert check
        self._features = check.mean  # the mean, so that no image is flagged
        self._random = np.random.default_rng(1)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.read(batch).probabilities

    def read(self, batch: NDArray[np.uint8]) -> engines.Readings:
        time.sleep(SECONDS)
        pneumonia = np.full(len(batch), 0.05, dtype=np.float32)
        pneumonia[::8], pneumonia[1::8] = 0.95, 0.5
        return engines.Readings(
            np.stack([1 - pneumonia, pneumonia], axis=1),
            np.tile(self._features, (len(batch), 1)),
            self._random.random((len(batch), SIDE, SIDE), dtype=np.float32),
        )

    def warm_up(self, max_batch: int) -> None:
        pass


engines.ENGINES[NAME] = engines.Kind((), None, Simulated)

__all__ = ["app"]
