"""The X-rays that the figures for borders and photographs are measured on."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.statistics import metrics

#: The labels of an index that stand for the classes.
LABELS = {"normal": 0, "pneumonia": 1}


@dataclass(frozen=True)
class Source:
    """X-rays of one origin.

    Attributes:
        name: the name of the origin.
        files: its pictures.
        truth: ``(n,)`` of 0 and 1, and -1 if the label is neither normal nor pneumonia, or unknown.
    """

    name: str
    files: list[Path]
    truth: NDArray[np.int64]


def held_out(bundle: Bundle, directories: Sequence[Path], limit: int) -> list[data.Sample]:
    """Files of patients that a bundle's training held out: one per patient, and at most ``limit`` per class.

    The largest rendition of each file is used.
    """
    samples = [sample for directory in directories for sample in data.scan(directory)]
    _, held = data.split_as(bundle.meta.get("training", {}).get("recipe", {}), samples)
    largest = {sample.patient: sample for sample in sorted(held, key=lambda s: s.path.stat().st_size)}
    chosen = []
    for label in range(len(data.CLASSES)):
        one_per_patient = sorted((s for s in largest.values() if s.label == label), key=lambda s: s.path.name)
        order = np.random.default_rng(label).permutation(len(one_per_patient))
        chosen += [one_per_patient[index] for index in sorted(order[:limit])]
    return chosen


def scan(directory: Path) -> Iterator[Source]:
    """The sources in a folder, one for each subfolder. Its ``index.csv`` has the columns ``file`` and ``label``."""
    index = directory / "index.csv"
    labels: dict[str, str] = {}
    if index.exists():
        with index.open(newline="") as stream:
            labels = {row["file"]: row["label"].lower() for row in csv.DictReader(stream)}
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in data.SUFFIXES)
        if files:
            names = (labels.get(str(file.relative_to(directory)), folder.name.lower()) for file in files)
            yield Source(folder.name, files, np.array([LABELS.get(name, -1) for name in names]))


def figures(truth: NDArray[Any], probability: NDArray[Any], points: dict[str, float]) -> dict[str, float]:
    """ROC AUC, and accuracy, sensitivity and specificity at each operating point, over the labelled X-rays."""
    labelled = truth >= 0
    if not labelled.any():
        return {}
    values: dict[str, float] = {"n": int(labelled.sum())}
    for name, threshold in points.items():
        measured = metrics.measure(truth[labelled], probability[labelled], threshold)
        values["roc_auc"] = measured["roc_auc"]
        for figure in ("accuracy", "recall", "specificity"):
            values[f"{figure}, {name}"] = measured[figure]
    return {name: round(value, 4) for name, value in values.items()}


def row(name: str, values: dict[str, float]) -> str:
    """Figures as a line of text."""
    cells = (f"{label} {value:g}" for label, value in values.items())
    return f"  {name:<34} {'; '.join(cells)}"
