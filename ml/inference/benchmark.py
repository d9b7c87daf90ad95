"""Compare the speed of engines. It is the upper bound that the service is measured against."""

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
    precisions: Sequence[str] = (engines.FLOAT32,),
    seconds: float = 10.0,
    files: Sequence[Path] = (),
    json_file: Path | None = None,
) -> dict[str, Any]:
    """Read random images in a bare loop, for each engine and batch size, with and without maps and features.

    The engines take turns, so that other work on the machine slows all of them alike. All are compared with the first.

    Args:
        model: the bundle's folder.
        batches: the batch sizes to measure.
        names: the names of the engines.
        precisions: Keras is measured in each of these.
        seconds: how long to read for each engine and batch size, with and without maps.
        files: X-rays to read from disk as well, once and in the largest batches, which includes decoding and
            preparing. With several engines, their answers to these are compared too.
        json_file: a file for the report as well.

    Returns:
        The report: ``images_per_second`` and ``with_maps_and_warnings`` by engine and batch size, and more.
    """
    bundle = Bundle.read(model)
    chosen = [engines.usable(bundle)[0] if name == engines.AUTO else name for name in names]
    loaded = [
        engines.load(model, name, precision)
        for name in chosen
        for precision in (precisions if name == engines.KERAS else (engines.FLOAT32,))
    ]
    for engine in loaded:
        engine.warm_up(max(batches))
    size = bundle.preprocessing.size
    inputs = np.random.default_rng(0).integers(0, 256, (max(batches), size, size), dtype=np.uint8)
    check = novelty.load(bundle)
    functions = [function for engine in loaded for function in (engine.predict, _full_reader(engine, check))]

    print(f"{bundle.id} on {machine.processor()}, {machine.cores()} cores, images a second")
    figures: dict[str, dict[str, float]] = {engine.name: {} for engine in loaded}
    with_maps: dict[str, dict[str, float]] = {engine.name: {} for engine in loaded}
    for count in batches:
        measured_rates = rates(functions, inputs[:count], seconds)
        for number, engine in enumerate(loaded):
            figures[engine.name][str(count)], with_maps[engine.name][str(count)] = measured_rates[
                2 * number : 2 * number + 2
            ]
            ratio = f", {measured_rates[2 * number] / measured_rates[0]:.2f} × {loaded[0].name}" if number else ""
            print(
                f"  {engine.name:>6}, batches of {count:>3}: {measured_rates[2 * number]:6.2f}, "
                f"{measured_rates[2 * number + 1]:6.2f} with maps and warnings{ratio}"
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
        "with_maps_and_warnings": with_maps,
    }
    if files:
        report["from_files"] = _from_files(functions[1], files, max(batches), bundle)
        print(f"  {loaded[0].name}, from {len(files)} files: {report['from_files']:6.2f} with maps and warnings")
        if len(loaded) > 1:
            report["agreement"] = agreement.compare(loaded, bundle, files)
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    return report


def _full_reader(engine: Engine, check: novelty.Check | None) -> Callable[[NDArray[np.uint8]], None]:
    """A function that computes everything that the service computes for a batch."""

    def read(batch: NDArray[np.uint8]) -> None:
        readings = engine.read(batch)
        novelty.warnings_of(check, readings.features, batch)
        to_bytes(readings.maps)

    return read


def _from_files(
    read: Callable[[NDArray[np.uint8]], object], files: Sequence[Path], count: int, bundle: Bundle
) -> float:
    """Images per second when reading files from disk."""
    started = time.perf_counter()
    for start in range(0, len(files), count):
        read(np.stack([load_input(file, bundle.preprocessing) for file in files[start : start + count]]))
    return len(files) / (time.perf_counter() - started)


def rates(
    functions: Sequence[Callable[[NDArray[np.uint8]], object]], batch: NDArray[np.uint8], seconds: float
) -> list[float]:
    """Images per second for each function, called in turns on the same batch, each for at least ``seconds``."""
    spent, done = [0.0] * len(functions), 0
    for read in functions:
        read(batch)  # so that compiling and allocating at the first call are not measured
    while min(spent) < seconds:
        for number, read in enumerate(functions):
            started = time.perf_counter()
            read(batch)
            spent[number] += time.perf_counter() - started
        done += len(batch)
    return [done / seconds_spent for seconds_spent in spent]
