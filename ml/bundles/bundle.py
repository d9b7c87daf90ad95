"""A released model: a folder with the weights and everything needed to use them.

``bundle.json`` names the network, its preprocessing, classes, decision threshold and the SHA-256 of the weights, which
is checked whenever a bundle is loaded. Reading the description needs no deep-learning framework.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import BundleError
from ml.pictures.preprocess import Preprocessing
from ml.statistics.calibration import Calibration

if TYPE_CHECKING:
    import keras

FORMAT = 1
WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class Bundle:
    """The description of a released model.

    Attributes:
        path: the bundle's folder.
        name: such as ``vgg16-pneumonia``.
        version: semantic version of the release.
        architecture: key of :data:`ml.networks.architectures.REGISTRY`.
        preprocessing: how its images are prepared.
        threshold: probability of pneumonia from which an image is labelled PNEUMONIA, at the operating point in use.
        weights_sha256: SHA-256 of the weights file.
        meta: all of ``bundle.json``, including metrics, training and data.
    """

    path: Path
    name: str
    version: str
    architecture: str
    preprocessing: Preprocessing
    threshold: float
    weights_sha256: str
    meta: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def calibration(self) -> Calibration:
        """The calibration that turns the network's outputs into probabilities."""
        return Calibration.from_json(self.meta.get("calibration", {}))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the network's outputs, in order. The last one is pneumonia."""
        return tuple(self.meta.get("classes", ("NORMAL", "PNEUMONIA")))

    @property
    def operating_point(self) -> str:
        """Name of the operating point in use."""
        return str(self.meta.get("operating_point", "default"))

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds of all operating points, by name."""
        points = self.meta.get("operating_points", {})
        return {name: float(point["threshold"]) for name, point in points.items()} or {
            self.operating_point: self.threshold
        }

    def at(self, point: str) -> "Bundle":
        """Return the bundle at another operating point.

        Raises:
            BundleError: the bundle has no operating point of that name.
        """
        if point not in self.thresholds:
            raise BundleError(f"{self.id} has no operating point {point!r}; it has {', '.join(self.thresholds)}")
        meta = {**self.meta, "operating_point": point}
        return replace(self, threshold=self.thresholds[point], meta=meta)

    def with_thresholds(self, thresholds: Mapping[str, float], point: str) -> "Bundle":
        """Return the bundle with other operating points, at the given one of them.

        Raises:
            BundleError: there is no operating point of that name.
        """
        points = {name: {"threshold": threshold} for name, threshold in thresholds.items()}
        return replace(self, meta={**self.meta, "operating_points": points}).at(point)

    @property
    def id(self) -> str:
        """Name and version, as recorded with results."""
        return f"{self.name}-{self.version}"

    @classmethod
    def read(cls, path: Path) -> "Bundle":
        """Read a bundle's description.

        Raises:
            BundleError: the description is missing, unreadable or of an unknown format.
        """
        try:
            meta = json.loads((path / "bundle.json").read_text())
        except FileNotFoundError:
            raise BundleError(f"{path} is no model bundle: it has no bundle.json") from None
        except ValueError as error:
            raise BundleError(f"{path}/bundle.json cannot be read: {error}") from error
        if meta.get("format") != FORMAT:
            raise BundleError(f"{path} has bundle format {meta.get('format')!r}; this version reads format {FORMAT}")
        try:
            return cls(
                path=path,
                name=meta["name"],
                version=meta["version"],
                architecture=meta["architecture"],
                preprocessing=Preprocessing.from_json(meta["preprocessing"]),
                threshold=float(meta["threshold"]),
                weights_sha256=meta["weights"]["sha256"],
                meta=meta,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{path}/bundle.json lacks or garbles {error}") from error

    def label(self, probability: float) -> str:
        """The class for a probability: pneumonia at or above the threshold, otherwise the other class."""
        return self.classes[-1] if probability >= self.threshold else self.classes[0]

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Load the weights, by names such as ``block1_conv1/kernel``.

        Raises:
            BundleError: the weights are missing or changed.
        """
        file = self.path / WEIGHTS
        try:
            digest = sha256(file)
        except FileNotFoundError:
            raise BundleError(f"{self.path} has no {WEIGHTS}") from None
        if digest != self.weights_sha256:
            raise BundleError(f"{file} is not the file that was released: its SHA-256 is {digest}")
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}

    def load_model(self) -> "keras.Model":
        """Build the network and give it the bundle's weights.

        Raises:
            BundleError: the weights are missing or changed, or do not fit the network.
        """
        from ml.networks import architectures

        weights = self.weights()
        model = architectures.build(self.architecture, self.preprocessing.size)
        if sorted(weights) != sorted(variable.path for variable in model.weights):
            raise BundleError(f"{self.path / WEIGHTS} does not hold the weights of a {self.architecture}")
        for variable in model.weights:
            variable.assign(weights[variable.path])
        return model


def write(path: Path, model: "keras.Model", meta: dict[str, Any]) -> Bundle:
    """Write a bundle: weights (see :func:`stored`) and ``bundle.json``.

    Args:
        path: the folder to create.
        model: the trained network.
        meta: ``bundle.json`` without its format and weights.
    """
    return write_arrays(path, {variable.path: stored(variable) for variable in model.weights}, meta)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], meta: dict[str, Any]) -> Bundle:
    """Write a bundle from the arrays for its weights file. See :func:`write`."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / WEIGHTS).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    weights = {"file": WEIGHTS, "sha256": sha256(path / WEIGHTS), "dtype": "float16"}
    text = json.dumps({"format": FORMAT, **meta, "weights": weights}, indent=2)
    (path / "bundle.json").write_text(text + "\n")
    return Bundle.read(path)


def stored(variable: "keras.Variable") -> NDArray[Any]:
    """A variable's values in the type that a bundle stores.

    Weights are float16, whose rounding changes no decision. The statistics of batch normalisation stay float32: a
    variance may exceed float16's range, and they are few.
    """
    import keras  # late: reading a bundle's description needs no framework

    statistic = variable.path.rsplit("/", 1)[-1] in ("moving_mean", "moving_variance")
    return keras.ops.convert_to_numpy(variable.value).astype(np.float32 if statistic else np.float16)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
