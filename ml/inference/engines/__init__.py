"""Engines that run a bundle's network. All share one interface, so that the service can choose the fastest."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from threadpoolctl import threadpool_limits

from ml.bundles.bundle import Bundle
from ml.errors import EngineError
from ml.inference import machine
from ml.inference.engines.interface import FLOAT32 as FLOAT32
from ml.inference.engines.interface import INT8 as INT8
from ml.inference.engines.interface import PRECISIONS as PRECISIONS
from ml.inference.engines.interface import Engine as Engine
from ml.inference.engines.interface import Readings as Readings

#: The name that leaves the choice to this program, and the names of the engines.
AUTO, KERAS, MNN, OPENVINO = "auto", "keras", "mnn", "openvino"


@dataclass(frozen=True)
class Kind:
    """A kind of engine.

    Attributes:
        packages: the Python packages that it needs.
        architectures: the networks that it runs; None for all.
        make: loads a bundle into a new engine.
        required_key: the key that a bundle's metadata must have for it; empty if none is needed.
    """

    packages: tuple[str, ...]
    architectures: frozenset[str] | None
    make: Callable[[Bundle], Engine]
    required_key: str = ""

    def installed(self) -> bool:
        return all(find_spec(package) for package in self.packages)

    def runs(self, bundle: Bundle) -> bool:
        architecture_known = self.architectures is None or bundle.architecture in self.architectures
        return architecture_known and (not self.required_key or self.required_key in bundle.meta)


def load(path: Path, name: str = AUTO, precision: str = FLOAT32) -> Engine:
    """Load a bundle into an engine.

    Args:
        path: the bundle's folder.
        name: a name from :data:`ENGINES`, or ``auto`` for the first of :func:`usable`.
        precision: one of :data:`PRECISIONS`, for Keras. The other engines have their own.

    Raises:
        BundleError: if the bundle cannot be used.
        EngineError: if the engine cannot be used.
    """
    bundle = Bundle.read(path)
    chosen = usable(bundle)[0] if name == AUTO else name
    require(chosen, bundle)
    # NumPy has little to do beside an engine, and its threads would spin while they wait for a processor.
    threadpool_limits(1, user_api="blas")
    return _keras(bundle, precision) if chosen == KERAS else ENGINES[chosen].make(bundle)


def require(name: str, bundle: Bundle) -> None:
    """Raise an EngineError with an explanation if an engine is unknown, not installed, or cannot run a bundle."""
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: {', '.join([AUTO, *sorted(ENGINES)])}")
    kind = ENGINES[name]
    if not kind.runs(bundle):
        networks = f"the engine {name} runs {', '.join(kind.architectures or ())} only"
        ranges = f"{networks}, and bundles that `python -m ml quantize` has measured"
        raise EngineError(f"{ranges if kind.required_key else networks}, not {bundle.architecture} {bundle.version}")
    if not kind.installed():
        raise EngineError(
            f"the engine {name} needs {' and '.join(kind.packages)}; `make run ENGINE={name}` installs that"
        )


def usable(bundle: Bundle) -> list[str]:
    """The installed engines that run a bundle: with a GPU Keras first, otherwise the one that is usually the fastest.

    Raises:
        EngineError: if there is none.
    """
    names = [name for name, kind in ENGINES.items() if kind.installed() and kind.runs(bundle)]
    if not machine.has_integers() and len(names) > 1:
        names = [name for name in names if name != OPENVINO]  # hardly faster here, and less exact than float32
    if not names:
        raise EngineError(
            f"no engine that is installed runs a {bundle.architecture}; `make training` installs Keras, which does"
        )
    return sorted(names, key=lambda name: name != KERAS) if on_gpu() else names


def on_gpu() -> bool:
    """Whether Keras would compute on a GPU: there is one, and the packages with the CUDA libraries are installed."""
    return machine.has_gpu() and bool(find_spec("nvidia")) and ENGINES[KERAS].installed()


def _mnn(bundle: Bundle) -> Engine:
    from ml.inference.engines.mnn_engine import MnnEngine

    return MnnEngine(bundle)


def _openvino(bundle: Bundle) -> Engine:
    from ml.inference.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(bundle)


def _keras(bundle: Bundle, precision: str = FLOAT32) -> Engine:
    from ml.inference.engines.keras_engine import KerasEngine

    return KerasEngine(bundle, precision)


#: The engines, the fastest on a CPU first. Their frameworks are imported only when an engine is made.
ENGINES = {
    MNN: Kind(("MNN",), frozenset({"vgg16"}), _mnn),
    OPENVINO: Kind(("openvino",), frozenset({"vgg16"}), _openvino, required_key=INT8),
    KERAS: Kind(("keras", os.environ.get("KERAS_BACKEND") or "tensorflow"), None, _keras),
}
