"""How fast an engine reads: the bound that the whole service is measured against."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml import engines
from ml.bundle import Bundle
from ml.engines import Engine


def benchmark(
    model: Path, batches: Sequence[int], *, seconds: float = 10.0, json_file: Path | None = None
) -> dict[str, float]:
    """Read random images in a bare loop, for each size of batch.

    Args:
        model: the bundle's folder.
        batches: images in a batch.
        seconds: how long to read for each size.
        json_file: where the figures go too.

    Returns:
        Images a second by size of batch.
    """
    engine = engines.load(model)
    engine.warm_up(max(batches))
    size = Bundle.read(model).preprocessing.size
    inputs = np.random.default_rng(0).integers(0, 256, (max(batches), size, size), dtype=np.uint8)
    figures = {str(count): rate(engine, inputs[:count], seconds) for count in batches}
    print(f"{Bundle.read(model).id} on {engine.device}")
    for count, figure in figures.items():
        print(f"  batches of {count:>3}: {figure:6.2f} images/s")
    if json_file:
        json_file.write_text(json.dumps({"device": engine.device, "images_per_second": figures}, indent=2) + "\n")
    return figures


def rate(engine: Engine, batch: NDArray[np.uint8], seconds: float) -> float:
    """Images a second, reading the same batch over and over for at least ``seconds``."""
    started = time.perf_counter()
    done = 0
    while (passed := time.perf_counter() - started) < seconds:
        engine.predict(batch)
        done += len(batch)
    return done / passed
