"""What a bundle needs to be read in 8-bit integers, and whether it is read as well with it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.errors import ExportError
from ml.inference import agreement, engines, machine
from ml.inference.engines import openvino_engine
from ml.inference.predict import load_input

#: Training images by whose largest values the ranges are chosen.
IMAGES = 100
#: Within these an int8 network is as good as the float32 one: the shares of images whose label or warnings may change,
#: the mean difference of the probability, the loss of ROC AUC, and the least median correlation of the maps.
MOST = {"labels_changed": 0.003, "warnings_changed": 0.005, "mean_difference": 0.01, "roc_auc": 0.001}
LEAST_CORRELATION = 0.98


def write(model: Path, directory: Path, also: Sequence[Path] = (), files: Sequence[Path] = ()) -> dict[str, Any]:
    """Choose the ranges of a bundle on training images, measure it with them, and put both into the bundle.

    Args:
        model: the bundle's folder.
        directory: its training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.
        files: originals to measure it on, besides the patients whom its training held out.

    Returns:
        What the bundle has now: ``ranges``, by the convolution's name, ``images``, and ``measured`` beside float32.

    Raises:
        ExportError: where the int8 network is not within :data:`MOST`; the bundle then stays as it was.
    """
    bundle = Bundle.read(model)
    text = (bundle.path / "bundle.json").read_text()
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    training, held = data.split_as(bundle.meta["training"]["recipe"], samples)
    chosen = np.random.default_rng(0).permutation(len(training))[:IMAGES]
    spec = bundle.preprocessing
    found = ranges(bundle, np.stack([load_input(training[i].path, spec) for i in sorted(chosen)]))
    made: dict[str, Any] = {"ranges": found, "images": len(chosen)}
    _put(bundle, made)
    try:
        made["measured"] = measured(model, {"held out": [sample.path for sample in held], "originals": files})
    except BaseException:
        (bundle.path / "bundle.json").write_text(text)
        raise
    _put(bundle, made)
    return made


def ranges(bundle: Bundle, inputs: NDArray[np.uint8]) -> dict[str, float]:
    """The largest value before each convolution but the first, over some inputs ``(n, size, size)``."""
    import openvino as ov
    from openvino import opset8 as op

    model = openvino_engine.graph(bundle.weights(), None)
    before = [node.input_value(0) for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][1:]
    compiled = openvino_engine.compiled(
        ov.Model([op.result(values) for values in before], model.get_parameters(), "ranges"), machine.cores()
    )
    largest = np.zeros(len(before))
    for image in inputs:
        values = compiled(openvino_engine.channels_first(image[np.newaxis], bundle.preprocessing.scaling))
        largest = np.maximum(largest, [values[n].max() for n in range(len(before))])
    return dict(zip(openvino_engine.QUANTIZED, largest.round(2).tolist(), strict=True))


def measured(model: Path, images: dict[str, Sequence[Path]]) -> dict[str, dict[str, float]]:
    """How far the int8 network differs from the float32 one, by where the images come from.

    Raises:
        ExportError: where it differs too much.
    """
    bundle = Bundle.read(model)
    both = [engines.load(model, name) for name in (engines.MNN, engines.OPENVINO)]
    report = {}
    for origin, files in images.items():
        if files:
            compared = agreement.compare(both, bundle, files)
            row = dict(compared[engines.OPENVINO])
            if excess := exceeded(row, compared[engines.MNN]):
                raise ExportError(f"in int8 {bundle.id} reads {origin} otherwise: {', '.join(excess)}")
            report[origin] = {name: value for name, value in row.items() if name != "seconds"}
    return report


def exceeded(row: dict[str, float], exact: dict[str, float]) -> list[str]:
    """The figures of an int8 network that are out of bounds, beside those of the float32 one."""
    shares = {name: row[name] / row["images"] for name in ("labels_changed", "warnings_changed")}
    lost = exact["roc_auc"] - row["roc_auc"] if "roc_auc" in row else 0.0
    values = {**shares, "mean_difference": row["mean_difference"], "roc_auc": lost}
    excess = [f"{name} {value:.4g} (at most {MOST[name]:g})" for name, value in values.items() if value > MOST[name]]
    if row["map_correlation"] < LEAST_CORRELATION:
        excess.append(f"map_correlation {row['map_correlation']:.4g} (at least {LEAST_CORRELATION:g})")
    return excess


def _put(bundle: Bundle, made: dict[str, Any]) -> None:
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, engines.INT8: made}, indent=2) + "\n")
