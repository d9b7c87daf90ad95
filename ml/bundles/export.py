"""Export a bundle's network for programs in other languages: one file or folder that other runtimes load.

The exported network takes images from :func:`ml.pictures.preprocess.to_input` and gives calibrated probabilities. It
does not contain the preprocessing, the threshold, or the check for pictures that are not chest X-rays. ``export.json``
describes the first two.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import keras

from ml.bundles.bundle import Bundle
from ml.errors import ExportError
from ml.pictures.preprocess import SCALINGS
from ml.statistics.calibration import EDGE, Calibration

#: Formats by their names in Keras, and the name of the network's file or folder.
FORMATS = {"tf_saved_model": "saved_model", "litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}


def export(bundle: Bundle, output: Path, kind: str = "tf_saved_model") -> Path:
    """Write a bundle's network in another format.

    Args:
        bundle: the bundle to export.
        output: a folder that does not exist yet; it gets the network and ``export.json``.
        kind: key of :data:`FORMATS`.

    Returns:
        The network's file or folder. The network maps ``(n, size, size)`` 8-bit greyscale to ``(n, 2)`` float32, the
        calibrated probabilities of normal and of pneumonia, like :meth:`ml.inference.engines.Engine.predict`.

    Raises:
        ExportError: the format is unknown or needs a package that is not installed, or ``output`` exists already.
    """
    if kind not in FORMATS:
        raise ExportError(f"unknown format {kind!r}; known: {', '.join(FORMATS)}")
    if output.exists():
        raise ExportError(f"{output} is there already")
    model = served(bundle)
    output.mkdir(parents=True)
    target = output / FORMATS[kind]
    try:
        model.export(str(target), format=kind, verbose=False)
    except (ImportError, ValueError, RuntimeError) as error:
        shutil.rmtree(output)
        raise ExportError(f"{kind}: {error}") from error
    (output / "export.json").write_text(json.dumps(_description(bundle, kind), indent=2) + "\n")
    return target


def served(bundle: Bundle) -> keras.Model:
    """Return the bundle's network with scaling before it and calibration after it."""
    spec = bundle.preprocessing
    image = keras.Input((spec.size, spec.size), dtype="uint8", name="image")
    tensor = _Scaled(spec.scaling, name="scaled")(image)
    outputs = _Calibrated(bundle.calibration, name="calibrated")(bundle.load_model()(tensor))
    return keras.Model(image, outputs, name="served")


def _description(bundle: Bundle, kind: str) -> dict[str, Any]:
    spec = bundle.preprocessing
    keys = ("classes", "threshold", "operating_points", "operating_point", "preprocessing")
    return {
        "bundle": bundle.id,
        "format": kind,
        "input": f"(n, {spec.size}, {spec.size}) uint8, greyscale, prepared as `preprocessing` says",
        "output": "(n, 2) float32, calibrated probabilities of `classes`",
        **{key: bundle.meta[key] for key in keys if key in bundle.meta},
    }


class _Scaled(keras.layers.Layer):
    """:func:`ml.pictures.preprocess.to_tensor` in the network."""

    def __init__(self, scaling: str, **options: Any) -> None:
        super().__init__(**options)
        self.offset, self.scale = SCALINGS[scaling]

    def call(self, image: Any) -> Any:
        values = keras.ops.expand_dims(keras.ops.cast(image, "float32"), -1) - self.offset
        return values if self.scale is None else values / self.scale

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape, 3)


class _Calibrated(keras.layers.Layer):
    """:meth:`ml.statistics.calibration.Calibration.apply_to_outputs` in the network."""

    def __init__(self, calibration: Calibration, **options: Any) -> None:
        super().__init__(**options)
        self.calibration = calibration

    def call(self, outputs: Any) -> Any:
        if self.calibration.method == "none":
            return outputs
        raw = keras.ops.clip(outputs[:, 1], EDGE, 1 - EDGE)
        odds = keras.ops.log(raw / (1 - raw))
        pneumonia = keras.ops.sigmoid(self.calibration.slope * odds + self.calibration.intercept)
        return keras.ops.stack([1 - pneumonia, pneumonia], axis=1)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape
