"""Read X-rays from files, as the service would."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ml import engines
from ml.bundle import Bundle
from ml.decode import open_image
from ml.engines import Engine
from ml.errors import ImageError
from ml.preprocess import Preprocessing, to_input

BATCH = 16


def predict(model: Path, files: Sequence[Path], *, json_file: Path | None = None) -> int:
    """Read files with a bundle and print a line for each.

    Args:
        model: the bundle's folder.
        files: JPEG or PNG. One that cannot be read gets an ``error`` instead of a result; the others go on.
        json_file: where the results go too, as ``[{"file", "probability", "label", "warnings"}, …]``.

    Returns:
        The exit status: 1 where a file could not be read.

    Raises:
        BundleError: where the bundle cannot be used.
    """
    bundle = Bundle.read(model)
    engine = engines.load(model)
    rows: list[dict[str, Any]] = []
    inputs: list[NDArray[np.uint8]] = []
    for file in files:
        row: dict[str, Any] = {"file": str(file), "probability": None, "label": None, "warnings": []}
        rows.append(row)
        try:
            inputs.append(load_input(file, bundle.preprocessing))
        except ImageError as error:
            row["error"] = {"code": error.code, "detail": error.detail}
        except OSError as error:
            row["error"] = {"code": "file_unreadable", "detail": str(error)}
    readable = [row for row in rows if "error" not in row]
    for row, probability in zip(readable, probabilities(engine, inputs), strict=True):
        row["probability"] = float(probability)
        row["label"] = bundle.label(row["probability"])
    for row in rows:
        said = row["error"]["detail"] if "error" in row else f"{row['probability']:.4f}  {row['label']}"
        print(f"{row['file']}: {said}")
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if len(readable) == len(rows) else 1


def load_input(file: Path, spec: Preprocessing) -> NDArray[np.uint8]:
    """A file as the model sees it: ``(size, size)`` 8-bit greyscale.

    Raises:
        ImageError: where it is no image that can be read.
        OSError: where the file cannot.
    """
    return to_input(open_image(file.read_bytes()), spec)


def probabilities(engine: Engine, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The probability of pneumonia for each input, ``(n,)``, with a progress bar where someone watches."""
    starts = tqdm(range(0, len(inputs), BATCH), unit="batch", disable=not sys.stderr.isatty() or len(inputs) <= BATCH)
    parts = [engine.predict(np.stack(inputs[start : start + BATCH]))[:, 1] for start in starts]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
