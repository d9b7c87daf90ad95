"""The speed of engines, side by side: the upper bound that the service is measured against."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference import agreement, engines, machine, novelty
from ml.inference.engines import Engine
from ml.inference.heatmaps import to_bytes
from ml.inference.predict import load_input


def benchmark(
    model: Path,
    batches: Sequence[int],
    *,
    names: Sequence[str] = (engines.AUTO,),
    seconds: float = 10.0,
    files: Sequence[Path] = (),
    json_file: Path | None = None,
) -> dict[str, Any]:
    """Read random images in a bare loop, for each engine and size of batch, with and without maps and features.

    All are measured in turns, so that whatever else the machine does slows all. The first engine is what the others
    are compared with.

    Args:
        model: the bundle's folder.
        batches: images in a batch.
        names: of engines.
        seconds: how long to read for each engine, size and way.
        files: X-rays to read from the disk as well, once and in the largest batches, which adds decoding and preparing;
            with several engines also, how far their answers to them agree.
        json_file: where the figures go too.

    Returns:
        What goes to ``json_file``: ``images_per_second`` and ``with_maps_and_warnings`` by engine and size of batch.
    """
    bundle = Bundle.read(model)
    loaded = [engines.load(model, name) for name in names]
    for engine in loaded:
        engine.warm_up(max(batches))
    size = bundle.preprocessing.size
    inputs = np.random.default_rng(0).integers(0, 256, (max(batches), size, size), dtype=np.uint8)
    check = novelty.load(bundle)
    ways = [way for engine in loaded for way in (engine.predict, _reading(engine, check))]

    print(f"{bundle.id} on {machine.processor()}, {machine.cores()} cores, images a second")
    figures: dict[str, dict[str, float]] = {engine.name: {} for engine in loaded}
    full: dict[str, dict[str, float]] = {engine.name: {} for engine in loaded}
    for count in batches:
        found = rates(ways, inputs[:count], seconds)
        for number, engine in enumerate(loaded):
            figures[engine.name][str(count)], full[engine.name][str(count)] = found[2 * number : 2 * number + 2]
            ratio = f", {found[2 * number] / found[0]:.2f} × {loaded[0].name}" if number else ""
            print(
                f"  {engine.name:>6}, batches of {count:>3}: {found[2 * number]:6.2f}, "
                f"{found[2 * number + 1]:6.2f} with maps and warnings{ratio}"
            )
    best = {name: max(rate.values()) for name, rate in figures.items()}
    for name in list(best)[1:]:
        print(f"  {name} at its best batch: {best[name] / best[loaded[0].name]:.2f} × {loaded[0].name} at its best")
    report: dict[str, Any] = {
        "bundle": bundle.id,
        "processor": machine.processor(),
        "cores": machine.cores(),
        "devices": {engine.name: engine.device for engine in loaded},
        "images_per_second": figures,
        "with_maps_and_warnings": full,
    }
    if files:
        report["from_files"] = _from_files(ways[1], files, max(batches), bundle)
        print(f"  {loaded[0].name}, from {len(files)} files: {report['from_files']:6.2f} with maps and warnings")
        if len(loaded) > 1:
            report["agreement"] = agreement.compare(loaded, bundle, files)
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    return report


def _reading(engine: Engine, check: novelty.Check | None) -> Callable[[NDArray[np.uint8]], None]:
    """All that the service computes for a batch."""

    def read(batch: NDArray[np.uint8]) -> None:
        readings = engine.read(batch)
        novelty.warnings_of(check, readings.features, batch)
        to_bytes(readings.maps)

    return read


def _from_files(
    read: Callable[[NDArray[np.uint8]], object], files: Sequence[Path], count: int, bundle: Bundle
) -> float:
    """Images a second from the disk."""
    started = time.perf_counter()
    for start in range(0, len(files), count):
        read(np.stack([load_input(file, bundle.preprocessing) for file in files[start : start + count]]))
    return len(files) / (time.perf_counter() - started)


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
