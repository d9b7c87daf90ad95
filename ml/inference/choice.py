"""Which engine serves on this machine: the fastest, as it was measured here."""

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

#: Images in the batches that are measured, and for how many seconds.
BATCH, SECONDS = 4, 2.0
#: Seconds after which an engine counts as one that cannot read here. Loading TensorFlow takes 20 on a busy machine.
LIMIT = 180


def choose(bundle: Bundle, cache: Path) -> str:
    """The engine for a bundle: Keras on a GPU, else the fastest of those that are installed.

    Where there are several, each is measured in a process of its own, once for each processor, bundle and release of
    the engines.

    Args:
        bundle: what is to be read with.
        cache: a JSON file that remembers what was measured.

    Raises:
        EngineError: where no engine runs the bundle.
    """
    usable = engines.usable(bundle)
    if len(usable) == 1 or engines.on_gpu():
        return usable[0]
    key = _key(bundle, usable)
    measured = _remembered(cache)
    if set(measured.get(key, {})) != set(usable):
        measured[key] = {name: _measure(bundle, name) for name in usable}
        # What failed may have failed for want of memory or time, and is tried again at the next start.
        if all(measured[key].values()):
            _remember(cache, measured)
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
    except PackageNotFoundError:  # a distribution of another name, such as tensorflow-cpu
        return version(f"{package}-cpu")


def _measure(bundle: Bundle, name: str) -> float:
    """Images a second, with maps and warnings; 0 for an engine that cannot."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        try:
            subprocess.run(  # noqa: S603  (this very program, with arguments of its own)
                [sys.executable, "-m", "ml", "benchmark", "--model", str(bundle.path), "--engine", name,
                 "--batch", str(BATCH), "--seconds", str(SECONDS), "--json", str(report)],
                capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=LIMIT, check=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            logger.warning("the engine %s cannot read here: %s %s", name, error, error.stderr)
            return 0.0
        return float(json.loads(report.read_text())["with_maps_and_warnings"][name][str(BATCH)])


def _remembered(cache: Path) -> dict[str, dict[str, float]]:
    try:
        found = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(cache: Path, measured: dict[str, dict[str, float]]) -> None:
    try:
        with tempfile.NamedTemporaryFile("w", dir=cache.parent, delete=False) as file:
            json.dump(measured, file, indent=2)
        Path(file.name).replace(cache)
    except OSError as error:
        logger.warning("cannot remember which engine is the fastest, and measure again at the next start: %s", error)
