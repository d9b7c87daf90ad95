"""mosec with its batching: several processes prepare images, and one reads them in batches."""

import os
from typing import Any

import mosec
import numpy as np

from tests.benchmarks.peers import reading


class Prepare(mosec.Worker):
    def forward(self, data: dict[str, str]) -> Any:
        return reading.prepared(data["image"])


class Read(mosec.Worker):
    def __init__(self) -> None:
        super().__init__()
        self.engine = reading.engine()

    def forward(self, data: list[np.ndarray]) -> list[dict[str, float]]:
        return [{"probability": float(probabilities[1])} for probabilities in self.engine.predict(np.stack(data))]


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Prepare, num=os.cpu_count() or 1)
    server.append_worker(Read, num=1, max_batch_size=reading.MAX_BATCH, max_wait_time=int(1000 * reading.BATCH_SECONDS))
    server.run()
