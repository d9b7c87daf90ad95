"""How well engines agree on the same X-rays."""

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
        engines: the engines, with the bundle loaded.
        bundle: the bundle.
        files: the images. If their folders have the names of the bundle's classes, the ROC AUC is compared as well.

    Returns:
        For each engine's name: ``images``, ``labels_changed``, ``mean_difference`` and ``largest_difference`` of the
        probability, ``warnings_changed``, ``map_correlation`` (median), ``least_map_correlation`` and, if the labels
        are known, ``roc_auc``.

    Raises:
        ImageError: if an image cannot be read.
        ValueError: if there are no images.
    """
    inputs = [predict.load_input(file, bundle.preprocessing) for file in files]
    check = novelty.load(bundle)
    truth = [file.parent.name == bundle.classes[-1] for file in files]
    labelled = {file.parent.name for file in files} == set(bundle.classes)
    first: Readings | None = None
    report = {}
    for engine in engines:
        started = time.perf_counter()
        current = predict.readings(engine, inputs)
        if current is None:
            raise ValueError("there are no images to compare the engines on")
        row: dict[str, float] = {"images": len(files), "seconds": time.perf_counter() - started}
        if labelled:
            row["roc_auc"] = _auc(truth, current)
        if first is None:
            first = current
            warnings = _warnings(bundle, check, current, inputs)
        else:
            difference = np.abs(current.probabilities[:, -1] - first.probabilities[:, -1])
            changed = _labels(bundle, current) != _labels(bundle, first)
            row |= {
                "labels_changed": int(changed.sum()),
                "mean_difference": float(difference.mean()),
                "largest_difference": float(difference.max()),
                "warnings_changed": sum(
                    warning != first_warning
                    for warning, first_warning in zip(_warnings(bundle, check, current, inputs), warnings, strict=True)
                ),
            }
            correlations = _correlations(current, first)
            row |= {"map_correlation": float(np.median(correlations)), "least_map_correlation": min(correlations)}
        report[engine.name] = row
        print(f"  {engine.name}: {', '.join(f'{name} {value:.6g}' for name, value in row.items())}")
    return report


def _labels(bundle: Bundle, read: Readings) -> np.ndarray:
    """The label of each image at all operating points, as the number of thresholds that its probability reaches."""
    return (read.probabilities[:, -1:] >= np.array(list(bundle.thresholds.values()))).sum(axis=1)


def _warnings(
    bundle: Bundle, check: novelty.Check | None, read: Readings, inputs: Sequence[np.ndarray]
) -> list[novelty.Warnings]:
    doubts = novelty.warnings_of(check, read.features, np.stack(inputs))
    outside = evidence.is_outside(to_bytes(read.maps), lungs.masks(np.stack(inputs)))
    return evidence.warnings_of(doubts, outside, read.probabilities[:, -1], bundle)


def _correlations(first: Readings, second: Readings) -> list[float]:
    """The correlation between each image's two maps, for images where neither map is empty."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(first.maps, second.maps, strict=True) if a.any() and b.any()]
    return [float(np.corrcoef(a, b)[0, 1]) for a, b in pairs] or [1.0]


def _auc(truth: Sequence[bool], read: Readings) -> float:
    from sklearn.metrics import roc_auc_score  # imported here because a comparison without labels does not need it

    return float(roc_auc_score(truth, read.probabilities[:, -1]))
