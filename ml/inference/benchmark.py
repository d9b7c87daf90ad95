"""The speed of an engine: the upper bound that the service is measured against."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference import engines, novelty
from ml.networks import explain
from ml.pictures import xray
from ml.pictures.decode import open_image
from ml.pictures.preprocess import to_input


def benchmark(
    model: Path,
    batches: Sequence[int],
    *,
    seconds: float = 10.0,
    files: Sequence[Path] = (),
    json_file: Path | None = None,
) -> dict[str, float]:
    """Read random images in a bare loop, for each size of batch, with and without maps and features.

    Both are measured in turns, so that whatever else the machine does slows both.

    Args:
        model: the bundle's folder.
        batches: images in a batch.
        seconds: how long to read for each size and either way.
        files: images to read from the disk as well, once and in the largest batches, which adds decoding and preparing.
        json_file: where the figures go too.

    Returns:
        Images a second by size of batch, for the probabilities alone.
    """
    bundle = Bundle.read(model)
    engine = engines.load(model)
    engine.warm_up(max(batches))
    size = bundle.preprocessing.size
    inputs = np.random.default_rng(0).integers(0, 256, (max(batches), size, size), dtype=np.uint8)
    check = novelty.load(bundle)

    def read(batch: NDArray[np.uint8]) -> None:
        readings = engine.read(batch)
        novelty.warnings_of(check, readings.features, batch)
        explain.to_bytes(readings.maps)

    print(f"{bundle.id} on {engine.device}, images a second")
    figures, full = {}, {}
    for count in batches:
        figures[str(count)], full[str(count)] = rates((engine.predict, read), inputs[:count], seconds)
        print(f"  batches of {count:>3}: {figures[str(count)]:6.2f}, {full[str(count)]:6.2f} with maps and warnings")
    from_files = None
    if files:
        started = time.perf_counter()
        for start in range(0, len(files), max(batches)):
            chunk = files[start : start + max(batches)]
            read(
                np.stack(
                    [to_input(xray.find(open_image(file.read_bytes())).image, bundle.preprocessing) for file in chunk]
                )
            )
        from_files = len(files) / (time.perf_counter() - started)
        print(f"  from {len(files)} files: {from_files:6.2f} with maps and warnings")
    if json_file:
        about = {"device": engine.device, "images_per_second": figures, "with_maps_and_warnings": full,
                 "from_files": from_files}  # fmt: skip
        json_file.write_text(json.dumps(about, indent=2) + "\n")
    return figures


def rates(
    ways: Sequence[Callable[[NDArray[np.uint8]], object]], batch: NDArray[np.uint8], seconds: float
) -> list[float]:
    """Images a second for each way of reading, in turns over the same batch, each for at least ``seconds``."""
    spent, done = [0.0] * len(ways), 0
    for read in ways:
        read(batch)  # what is compiled or allocated at the first call does not count
    while min(spent) < seconds:
        for number, read in enumerate(ways):
            started = time.perf_counter()
            read(batch)
            spent[number] += time.perf_counter() - started
        done += len(batch)
    return [done / each for each in spent]
