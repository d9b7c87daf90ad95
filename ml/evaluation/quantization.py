"""Prepare a bundle for 8-bit integers, and check that it then reads as well as before."""

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

#: The number of training images whose largest values give the ranges.
IMAGES = 100
#: The limits within which an int8 network counts as good as the float32 one: the shares of images whose label or
#: warnings may change, the mean difference of the probability, the loss of ROC AUC, and the smallest median correlation
#: of the maps.
MOST = {"labels_changed": 0.003, "warnings_changed": 0.005, "mean_difference": 0.01, "roc_auc": 0.001}
LEAST_CORRELATION = 0.98


def write(model: Path, directory: Path, also: Sequence[Path] = (), files: Sequence[Path] = ()) -> dict[str, Any]:
    """Choose the ranges of a bundle on training images, evaluate the int8 network, and write both into the bundle.

    Args:
        model: the bundle's folder.
        directory: its training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.
        files: original files to evaluate it on, in addition to the patients that its training held out.

    Returns:
        The new entry in ``bundle.json``: the hash of the file with the ranges, the number of images they were chosen
        on, and ``measured``, the comparison with float32.

    Raises:
        ExportError: if the int8 network is not within :data:`MOST`. The bundle is then left unchanged, as after an
            interruption.
    """
    bundle = Bundle.read(model)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    training, held = data.split_as(bundle.meta["training"]["recipe"], samples)
    chosen = np.random.default_rng(0).permutation(len(training))[:IMAGES]
    spec = bundle.preprocessing
    largest = ranges(bundle, np.stack([load_input(training[i].path, spec) for i in sorted(chosen)]))
    changed = [bundle.path / "bundle.json", bundle.path / openvino_engine.FILE]
    before = {file: file.read_bytes() for file in changed if file.exists()}
    try:
        entry = put(bundle, largest)
        entry["images"] = len(chosen)
        entry["measured"] = measured(model, {"held out": [sample.path for sample in held], "originals": files})
        _describe(bundle, entry)
    except BaseException:  # also if the user interrupts it
        for file in changed:
            if file in before:
                file.write_bytes(before[file])
            else:
                file.unlink(missing_ok=True)
        raise
    return entry


def ranges(bundle: Bundle, inputs: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The largest value of each channel before each convolution except the first, over inputs ``(n, size, size)``."""
    import openvino as ov
    from openvino import opset8 as op

    model = openvino_engine.graph(bundle.weights(), None)
    before = [node.input_value(0) for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][1:]
    channels = [op.result(op.reduce_max(values, op.constant(np.array([0, 2, 3])))) for values in before]
    compiled = openvino_engine.compile_model(ov.Model(channels, model.get_parameters(), "ranges"), machine.cores())
    channel_maxima = []
    for image in inputs:
        values = compiled(openvino_engine.channels_first(image[np.newaxis], bundle.preprocessing.scaling))
        channel_maxima.append([values[index] for index in range(len(before))])
    largest = [np.max(layer_maxima, axis=0) for layer_maxima in zip(*channel_maxima, strict=True)]
    return dict(zip(openvino_engine.QUANTIZED, largest, strict=True))


def measured(model: Path, images: dict[str, Sequence[Path]]) -> dict[str, dict[str, float]]:
    """How far the int8 network differs from the float32 one, by the origin of the images.

    Raises:
        ExportError: if it differs too much.
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
    """The figures of an int8 network that are out of bounds, compared with those of the float32 one."""
    shares = {name: row[name] / row["images"] for name in ("labels_changed", "warnings_changed")}
    lost = exact["roc_auc"] - row["roc_auc"] if "roc_auc" in row else 0.0
    values = {**shares, "mean_difference": row["mean_difference"], "roc_auc": lost}
    excess = [f"{name} {value:.4g} (at most {MOST[name]:g})" for name, value in values.items() if value > MOST[name]]
    if row["map_correlation"] < LEAST_CORRELATION:
        excess.append(f"map_correlation {row['map_correlation']:.4g} (at least {LEAST_CORRELATION:g})")
    return excess


def put(bundle: Bundle, largest: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Write the ranges into a bundle, and return their entry in ``bundle.json``."""
    file = bundle.path / openvino_engine.FILE
    np.savez(file, allow_pickle=False, **largest)
    entry = {"sha256": sha256(file)}
    _describe(bundle, entry)
    return entry


def _describe(bundle: Bundle, entry: dict[str, Any]) -> None:
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, engines.INT8: entry}, indent=2) + "\n")
