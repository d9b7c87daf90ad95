"""Choose the engine for this machine: the one that is measured to be the fastest here."""

import json
import logging
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ml.bundles.bundle import Bundle
from ml.inference import engines, machine

logger = logging.getLogger(__name__)

#: The number of images in the measured batches, and the seconds of each measurement.
BATCH, SECONDS = 4, 2.0
#: Seconds after which an engine counts as unusable here. Loading TensorFlow takes 20 s on a busy machine.
LIMIT = 180


def choose(bundle: Bundle, cache: Path, precision: str = engines.FLOAT32) -> str:
    """The engine for a bundle: Keras on a GPU, otherwise the fastest of those that are installed.

    If there are several, each is measured in its own process, once for each processor, bundle and engine release.

    Args:
        bundle: the bundle to read with.
        cache: a JSON file that stores the measurements.
        precision: the precision in which Keras is measured.

    Raises:
        EngineError: if no engine runs the bundle.
    """
    usable = engines.usable(bundle)
    if len(usable) == 1 or engines.on_gpu():
        return usable[0]
    key = _key(bundle, usable)
    if precision != engines.FLOAT32:
        key += f", {precision}"
    measured = _read_cache(cache)
    if set(measured.get(key, {})) != set(usable):
        measured[key] = {name: _measure(bundle, name, precision) for name in usable}
        # An engine may have failed for lack of memory or time, so failures are not stored but tried again next time.
        if all(measured[key].values()):
            _write_cache(cache, measured)
    rates = measured[key]
    best = max(usable, key=lambda name: rates[name])
    logger.info("engine %s: %s", best, ", ".join(f"{name} {rate:.1f} images/s" for name, rate in rates.items()))
    return best


def _key(bundle: Bundle, usable: list[str]) -> str:
    packages = sorted({package for name in usable for package in engines.ENGINES[name].packages})
    releases = ", ".join(f"{package} {_version(package)}" for package in packages)
    return f"{machine.processor()}, {machine.cores()} cores, {bundle.id}, {bundle.weights_sha256[:16]}, {releases}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a distribution with another name, such as tensorflow-cpu
        return version(f"{package}-cpu")


def _measure(bundle: Bundle, name: str, precision: str = engines.FLOAT32) -> float:
    """Images per second, with maps and warnings; 0 for an engine that fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        try:
            subprocess.run(  # noqa: S603  (this very program, with arguments of its own)
                [sys.executable, "-m", "ml", "benchmark", "--model", str(bundle.path), "--engine", name,
                 "--precision", precision, "--batch", str(BATCH), "--seconds", str(SECONDS), "--json", str(report)],
                capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=LIMIT, check=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            logger.warning("the engine %s cannot read here: %s %s", name, error, error.stderr)
            return 0.0
        [measured] = json.loads(report.read_text())["with_maps_and_warnings"].values()
        return float(measured[str(BATCH)])


def _read_cache(cache: Path) -> dict[str, dict[str, float]]:
    try:
        content = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_cache(cache: Path, measured: dict[str, dict[str, float]]) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=cache.parent, delete=False) as file:
            json.dump(measured, file, indent=2)
        Path(file.name).replace(cache)
    except OSError as error:
        logger.warning("cannot remember which engine is the fastest, and measure again at the next start: %s", error)
