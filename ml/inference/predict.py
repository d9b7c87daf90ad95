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
from ml.inference.opening import Opened, opened
from ml.pictures import xray
from ml.pictures.preprocess import Preprocessing, to_input
from ml.pictures.warnings import NO_LABEL

BATCH = 16


def predict(model: Path, files: Sequence[Path], *, json_file: Path | None = None, heatmaps: Path | None = None) -> int:
    """Read files with a bundle and print a line for each.

    Args:
        model: the bundle's folder.
        files: of any format that :func:`ml.pictures.decode.read` reads. One that cannot be read, also one that crashes
            its decoder, gets an ``error`` instead of a result; the others go on.
        json_file: where the results go too, as ``[{"file", "probability", "label", "warnings"}, …]``. A photograph of a
            film, and what is no frontal chest by its file, have no label.
        heatmaps: folder for each image's map, as a PNG of the image's size to lay over it: ``0001-NAME.png`` for the
            first file.

    Returns:
        The exit status: 1 where a file could not be read.

    Raises:
        BundleError: where the bundle cannot be used.
    """
    bundle = Bundle.read(model)
    engine, check = engines.load(model), novelty.load(bundle)
    rows: list[dict[str, Any]] = []
    read: list[Opened] = []
    for file, found in zip(files, opened(files, bundle.preprocessing), strict=True):
        row: dict[str, Any] = {"file": str(file), "probability": None, "label": None, "warnings": []}
        rows.append(row)
        if isinstance(found, Opened):
            row["warnings"] = found.warnings
            read.append(found)
        elif isinstance(found, ImageError):
            row["error"] = {"code": found.code, "detail": found.detail}
        else:
            row["error"] = {"code": "file_unreadable", "detail": str(found)}
    readable = [(number, row) for number, row in enumerate(rows, 1) if "error" not in row]
    inputs = [one.input for one in read]
    batch = readings(engine, inputs)
    if batch:
        maps = to_bytes(batch.maps)
        unlike = novelty.warnings_of(check, batch.features, np.stack(inputs))
        outside = evidence.is_outside(maps, lungs.masks(np.stack(inputs)))
        warnings = evidence.warnings_of(unlike, outside, batch.probabilities[:, 1], bundle)
        for (_, row), probability, said in zip(readable, batch.probabilities[:, 1], warnings, strict=True):
            row["probability"] = float(probability)
            row["warnings"] = novelty.together(row["warnings"], said)
            doubtful = any(warning["code"] in NO_LABEL for warning in row["warnings"])
            row["label"] = None if doubtful else bundle.label(row["probability"])
        if heatmaps:
            heatmaps.mkdir(parents=True, exist_ok=True)
            for (number, row), heatmap, one in zip(readable, maps, read, strict=True):
                row["heatmap"] = str(heatmaps / f"{number:04d}-{Path(row['file']).stem}.png")
                overlay(heatmap, one.size, one.box).save(row["heatmap"])
    for row in rows:
        print(f"{row['file']}: {_line(row)}")
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if len(readable) == len(rows) else 1


def _line(row: dict[str, Any]) -> str:
    """A result for people."""
    if "error" in row:
        return str(row["error"]["detail"])
    doubts = "".join(f"  {warning['code']}: {warning['detail']}" for warning in row["warnings"])
    return f"{row['probability']:.4f}  {row['label'] or 'no label'}{doubts}"


def load_input(file: Path, spec: Preprocessing) -> NDArray[np.uint8]:
    """A file as the model sees it: ``(size, size)`` 8-bit greyscale.

    Raises:
        ImageError: where it is no image that can be read.
        OSError: where the file cannot.
    """
    return to_input(xray.load(file.read_bytes()), spec)


def probabilities(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of pneumonia for each input, ``(n,)``, with a progress bar where someone watches."""
    parts = [engine.predict(batch)[:, 1] for batch in _batches(inputs)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def readings(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> Readings | None:
    """The engine's outputs for any number of inputs; None for none."""
    parts = [engine.read(batch) for batch in _batches(inputs)]
    if not parts:
        return None
    joined = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Readings))
    return Readings(*joined)


def _batches(inputs: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    starts = tqdm(range(0, len(inputs), BATCH), unit="batch", disable=not sys.stderr.isatty() or len(inputs) <= BATCH)
    for start in starts:
        yield np.stack(inputs[start : start + BATCH])
