"""Engines run a bundle's network. All share one interface, so that the service can choose one by measurement."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from threadpoolctl import threadpool_limits

from ml.bundles.bundle import Bundle
from ml.errors import EngineError
from ml.inference import machine
from ml.inference.engines.interface import INT8 as INT8
from ml.inference.engines.interface import Engine as Engine
from ml.inference.engines.interface import Readings as Readings

#: Lets this program choose; the names of the engines.
AUTO, KERAS, MNN, OPENVINO = "auto", "keras", "mnn", "openvino"


@dataclass(frozen=True)
class Kind:
    """An engine that there is.

    Attributes:
        packages: what must be installed for it.
        architectures: the networks that it runs; None for all.
        make: loads a bundle into it.
        asks: what a bundle must have for it, besides; empty for nothing.
    """

    packages: tuple[str, ...]
    architectures: frozenset[str] | None
    make: Callable[[Bundle], Engine]
    asks: str = ""

    def installed(self) -> bool:
        return all(find_spec(package) for package in self.packages)

    def runs(self, bundle: Bundle) -> bool:
        known = self.architectures is None or bundle.architecture in self.architectures
        return known and (not self.asks or self.asks in bundle.meta)


def load(path: Path, name: str = AUTO) -> Engine:
    """Load a bundle into an engine.

    Args:
        path: the bundle's folder.
        name: of :data:`ENGINES`, or ``auto`` for the first of :func:`usable`.

    Raises:
        BundleError: where the bundle cannot be used.
        EngineError: where the engine cannot.
    """
    bundle = Bundle.read(path)
    chosen = usable(bundle)[0] if name == AUTO else name
    require(chosen, bundle)
    # NumPy has little to do beside an engine, and its threads would wait for processors in a loop.
    threadpool_limits(1, user_api="blas")
    return ENGINES[chosen].make(bundle)


def require(name: str, bundle: Bundle) -> None:
    """Raise an EngineError with a sentence where an engine is unknown, is not installed, or cannot run a bundle."""
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: {', '.join([AUTO, *sorted(ENGINES)])}")
    kind = ENGINES[name]
    if not kind.runs(bundle):
        networks = f"the engine {name} runs {', '.join(kind.architectures or ())} only"
        ranges = f"{networks}, and bundles that `python -m ml quantize` has measured"
        raise EngineError(f"{ranges if kind.asks else networks}, not {bundle.architecture} {bundle.version}")
    if not kind.installed():
        raise EngineError(
            f"the engine {name} needs {' and '.join(kind.packages)}; `make run ENGINE={name}` installs that"
        )


def usable(bundle: Bundle) -> list[str]:
    """The installed engines that run a bundle: on a GPU Keras first, else the one that is usually the fastest.

    Raises:
        EngineError: where there is none.
    """
    found = [name for name, kind in ENGINES.items() if kind.installed() and kind.runs(bundle)]
    if not machine.has_integers() and len(found) > 1:
        found = [name for name in found if name != OPENVINO]  # hardly faster there, and not quite float32
    if not found:
        raise EngineError(
            f"no engine that is installed runs a {bundle.architecture}; `make training` installs Keras, which does"
        )
    return sorted(found, key=lambda name: name != KERAS) if on_gpu() else found


def on_gpu() -> bool:
    """Whether Keras would compute on a GPU: there is one, and the packages with CUDA's libraries are installed."""
    return machine.has_gpu() and bool(find_spec("nvidia")) and ENGINES[KERAS].installed()


def _mnn(bundle: Bundle) -> Engine:
    from ml.inference.engines.mnn_engine import MnnEngine

    return MnnEngine(bundle)


def _openvino(bundle: Bundle) -> Engine:
    from ml.inference.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(bundle)


def _keras(bundle: Bundle) -> Engine:
    from ml.inference.engines.keras_engine import KerasEngine

    return KerasEngine(bundle)


#: The engines, the fastest on a processor first. Their frameworks are imported late: asking loads none.
ENGINES = {
    MNN: Kind(("MNN",), frozenset({"vgg16"}), _mnn),
    OPENVINO: Kind(("openvino",), frozenset({"vgg16"}), _openvino, asks=INT8),
    KERAS: Kind(("keras", os.environ.get("KERAS_BACKEND") or "tensorflow"), None, _keras),
}
