"""What a bundle needs to be read in 8-bit integers, and whether it is read as well with it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle, sha256
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
        What ``bundle.json`` has now: the hash of the file with the ranges, how many images chose them, and ``measured``
        beside float32.

    Raises:
        ExportError: where the int8 network is not within :data:`MOST`; the bundle then stays as it was.
    """
    bundle = Bundle.read(model)
    text = (bundle.path / "bundle.json").read_text()
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    training, held = data.split_as(bundle.meta["training"]["recipe"], samples)
    chosen = np.random.default_rng(0).permutation(len(training))[:IMAGES]
    spec = bundle.preprocessing
    made = put(bundle, ranges(bundle, np.stack([load_input(training[i].path, spec) for i in sorted(chosen)])))
    made["images"] = len(chosen)
    try:
        made["measured"] = measured(model, {"held out": [sample.path for sample in held], "originals": files})
    except BaseException:
        (bundle.path / "bundle.json").write_text(text)
        (bundle.path / openvino_engine.FILE).unlink()
        raise
    _describe(bundle, made)
    return made


def ranges(bundle: Bundle, inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The largest value of each channel before each convolution but the first, over some inputs ``(n, size, size)``."""
    import openvino as ov
    from openvino import opset8 as op

    model = openvino_engine.graph(bundle.weights(), None)
    before = [node.input_value(0) for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][1:]
    channels = [op.result(op.reduce_max(values, op.constant(np.array([0, 2, 3])))) for values in before]
    compiled = openvino_engine.compiled(ov.Model(channels, model.get_parameters(), "ranges"), machine.cores())
    found = []
    for image in inputs:
        values = compiled(openvino_engine.channels_first(image[np.newaxis], bundle.preprocessing.scaling))
        found.append([values[n] for n in range(len(before))])
    largest = [np.max(of_layer, axis=0) for of_layer in zip(*found, strict=True)]
    return dict(zip(openvino_engine.QUANTIZED, largest, strict=True))


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


def put(bundle: Bundle, largest: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Put the ranges into a bundle. Returns what ``bundle.json`` says of them."""
    file = bundle.path / openvino_engine.FILE
    np.savez(file, allow_pickle=False, **largest)
    made = {"sha256": sha256(file)}
    _describe(bundle, made)
    return made


def _describe(bundle: Bundle, made: dict[str, Any]) -> None:
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, engines.INT8: made}, indent=2) + "\n")
