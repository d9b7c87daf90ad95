"""Read X-rays from files, as the service does."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml.bundles.bundle import Bundle
from ml.errors import ImageError
from ml.inference import engines, evidence, lungs, novelty
from ml.inference.engines import Engine, Readings
from ml.inference.heatmaps import overlay, to_bytes
from ml.inference.opening import Opened, open_files
from ml.pictures import xray
from ml.pictures.preprocess import Preprocessing, to_input
from ml.pictures.warnings import NO_LABEL

BATCH = 16


def predict(model: Path, files: Sequence[Path], *, json_file: Path | None = None, heatmaps: Path | None = None) -> int:
    """Read files with a bundle and print a line for each.

    Args:
        model: the bundle's folder.
        files: files of any format that :func:`ml.pictures.decode.read` reads. A file that cannot be read, or that
            crashes its decoder, gets an ``error`` instead of a result; the other files are still read.
        json_file: a file for the results as well, as ``[{"file", "probability", "label", "warnings"}, …]``. With
            a warning of :data:`ml.pictures.warnings.NO_LABEL` there is no label, as in the service.
        heatmaps: a folder for each image's map, as a PNG of the image's size to lay over it: ``0001-NAME.png`` for the
            first file.

    Returns:
        The exit status: 1 if a file could not be read.

    Raises:
        BundleError: if the bundle cannot be used.
    """
    bundle = Bundle.read(model)
    engine, check = engines.load(model), novelty.load(bundle)
    rows: list[dict[str, Any]] = []
    contents: list[Opened] = []
    for file, content in zip(files, open_files(files, bundle.preprocessing), strict=True):
        row: dict[str, Any] = {"file": str(file), "probability": None, "label": None, "warnings": []}
        rows.append(row)
        if isinstance(content, Opened):
            row["warnings"] = content.warnings
            contents.append(content)
        elif isinstance(content, ImageError):
            row["error"] = {"code": content.code, "detail": content.detail}
        else:
            row["error"] = {"code": "file_unreadable", "detail": str(content)}
    readable = [(number, row) for number, row in enumerate(rows, 1) if "error" not in row]
    inputs = [file_content.input for file_content in contents]
    batch = readings(engine, inputs)
    if batch:
        maps = to_bytes(batch.maps)
        novelty_warnings = novelty.warnings_of(check, batch.features, np.stack(inputs))
        outside = evidence.is_outside(maps, lungs.masks(np.stack(inputs)))
        warnings = evidence.warnings_of(novelty_warnings, outside, batch.probabilities[:, 1], bundle)
        for (_, row), probability, model_warnings in zip(readable, batch.probabilities[:, 1], warnings, strict=True):
            row["probability"] = float(probability)
            row["warnings"] = novelty.together(row["warnings"], model_warnings)
            doubtful = any(warning["code"] in NO_LABEL for warning in row["warnings"])
            row["label"] = None if doubtful else bundle.label(row["probability"])
        if heatmaps:
            heatmaps.mkdir(parents=True, exist_ok=True)
            for (number, row), heatmap, file_content in zip(readable, maps, contents, strict=True):
                row["heatmap"] = str(heatmaps / f"{number:04d}-{Path(row['file']).stem}.png")
                overlay(heatmap, file_content.size, file_content.box).save(row["heatmap"])
    for row in rows:
        print(f"{row['file']}: {_line(row)}")
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if len(readable) == len(rows) else 1


def _line(row: dict[str, Any]) -> str:
    """A result as a line of text."""
    if "error" in row:
        return str(row["error"]["detail"])
    doubts = "".join(f"  {warning['code']}: {warning['detail']}" for warning in row["warnings"])
    return f"{row['probability']:.4f}  {row['label'] or 'no label'}{doubts}"


def load_input(file: Path, spec: Preprocessing) -> NDArray[np.uint8]:
    """A file as the model's input: ``(size, size)`` 8-bit greyscale.

    Raises:
        ImageError: if the file is not a readable image.
        OSError: if the file cannot be read.
    """
    return to_input(xray.load(file.read_bytes()), spec)


def probabilities(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of pneumonia for each input, ``(n,)``. Shows a progress bar on a terminal."""
    parts = [engine.predict(batch)[:, 1] for batch in _batches(inputs)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def readings(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> Readings | None:
    """The engine's outputs for any number of inputs; None if there are no inputs."""
    parts = [engine.read(batch) for batch in _batches(inputs)]
    if not parts:
        return None
    joined = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Readings))
    return Readings(*joined)


def _batches(inputs: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    starts = tqdm(range(0, len(inputs), BATCH), unit="batch", disable=not sys.stderr.isatty() or len(inputs) <= BATCH)
    for start in starts:
        yield np.stack(inputs[start : start + BATCH])
