"""How far engines agree about the same X-rays."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.bundles.bundle import Bundle
from ml.inference import evidence, lungs, novelty, predict
from ml.inference.engines import Engine, Readings
from ml.inference.heatmaps import to_bytes


def compare(engines: Sequence[Engine], bundle: Bundle, files: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Read images with every engine, and print how far each differs from the first.

    Args:
        engines: which have the bundle loaded.
        bundle: that bundle.
        files: the images. Where they lie in folders named as the bundle's classes, the ROC AUC is compared as well.

    Returns:
        By the engine's name: ``images``, ``labels_changed``, ``mean_difference`` and ``largest_difference`` of the
        probability, ``warnings_changed``, ``map_correlation`` (median), ``least_map_correlation`` and, where known,
        ``roc_auc``.

    Raises:
        ImageError: where one cannot be read.
        ValueError: for no images.
    """
    inputs = [predict.load_input(file, bundle.preprocessing) for file in files]
    check = novelty.load(bundle)
    truth = [file.parent.name == bundle.classes[-1] for file in files]
    labelled = {file.parent.name for file in files} == set(bundle.classes)
    first: Readings | None = None
    report = {}
    for engine in engines:
        started = time.perf_counter()
        read = predict.readings(engine, inputs)
        if read is None:
            raise ValueError("there are no images to compare the engines on")
        row: dict[str, float] = {"images": len(files), "seconds": time.perf_counter() - started}
        if labelled:
            row["roc_auc"] = _auc(truth, read)
        if first is None:
            first = read
            warnings = _warnings(bundle, check, read, inputs)
        else:
            apart = np.abs(read.probabilities[:, -1] - first.probabilities[:, -1])
            changed = _labels(bundle, read) != _labels(bundle, first)
            row |= {
                "labels_changed": int(changed.sum()),
                "mean_difference": float(apart.mean()),
                "largest_difference": float(apart.max()),
                "warnings_changed": sum(
                    one != other for one, other in zip(_warnings(bundle, check, read, inputs), warnings, strict=True)
                ),
            }
            correlations = _correlations(read, first)
            row |= {"map_correlation": float(np.median(correlations)), "least_map_correlation": min(correlations)}
        report[engine.name] = row
        print(f"  {engine.name}: {', '.join(f'{name} {value:.6g}' for name, value in row.items())}")
    return report


def _labels(bundle: Bundle, read: Readings) -> np.ndarray:
    """Every operating point's label of each image."""
    return (read.probabilities[:, -1:] >= np.array(list(bundle.thresholds.values()))).sum(axis=1)


def _warnings(
    bundle: Bundle, check: novelty.Check | None, read: Readings, inputs: Sequence[np.ndarray]
) -> list[novelty.Warnings]:
    doubts = novelty.warnings_of(check, read.features, np.stack(inputs))
    outside = evidence.is_outside(to_bytes(read.maps), lungs.masks(np.stack(inputs)))
    return evidence.warnings_of(doubts, outside, read.probabilities[:, -1], bundle)


def _correlations(one: Readings, other: Readings) -> list[float]:
    """The correlation of each image's two maps, of those that are not empty."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(one.maps, other.maps, strict=True) if a.any() and b.any()]
    return [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs] or [1.0]


def _auc(truth: Sequence[bool], read: Readings) -> float:
    from sklearn.metrics import roc_auc_score  # late: a comparison without labels does not need it

    return float(roc_auc_score(truth, read.probabilities[:, -1]))
