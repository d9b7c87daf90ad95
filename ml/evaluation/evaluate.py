"""Measure a bundle on labelled X-rays."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.inference import engines
from ml.inference.predict import load_input, probabilities
from ml.statistics import bootstrap, calibration, metrics


def evaluate(
    model: Path, directory: Path, *, json_file: Path | None = None, figures: Path | None = None
) -> dict[str, Any]:
    """Read every image of a folder and compare it with its label, at the bundle's own threshold.

    Args:
        model: the bundle's folder.
        directory: a folder with ``NORMAL/`` and ``PNEUMONIA/``.
        json_file: a file for the report.
        figures: a folder for the confusion matrix, the ROC and precision-recall curves and the histogram of scores.

    Returns:
        The report: ``metrics`` (see :func:`ml.statistics.metrics.measure`, plus the expected calibration error and the
        Brier score), 95 % ``intervals`` (see :mod:`ml.statistics.bootstrap`), ``threshold``, ``operating_point``,
        ``confusion_matrix`` (rows: true class, columns: predicted class, in the order of ``classes``), ``counts``,
        ``model``, ``data``.

    Raises:
        BundleError: if the bundle cannot be used.
        FileNotFoundError: if a class has no images.
        ImageError: if an image cannot be read, because figures on only a part of the images would mislead.
    """
    bundle = Bundle.read(model)
    samples = data.scan(directory)
    inputs = [load_input(sample.path, bundle.preprocessing) for sample in samples]
    engine = engines.load(model)
    scores = probabilities(engine, inputs)
    truth = np.array([sample.label for sample in samples])
    counts = metrics.confusion(truth, scores, bundle.threshold)
    patients = np.array([sample.patient for sample in samples])
    report = {
        "model": bundle.id,
        "weights_sha256": bundle.weights_sha256,
        "threshold": bundle.threshold,
        "classes": bundle.meta["classes"],
        "operating_point": bundle.operating_point,
        "metrics": {
            **metrics.measure(truth, scores, bundle.threshold),
            "expected_calibration_error": calibration.expected_calibration_error(truth, scores),
            "brier": calibration.brier(truth, scores),
        },
        "intervals": bootstrap.intervals(truth, scores, bundle.threshold, patients),
        "confusion_matrix": [[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]],
        "counts": counts,
        "data": {"files": len(samples), "patients": len(set(patients.tolist())),
                 "sha256": data.fingerprint(samples)},
    }  # fmt: skip
    print(text(report))
    if json_file:
        json_file.write_text(json.dumps(report, indent=2, default=float) + "\n")
    if figures:
        from ml.evaluation.figures import draw

        draw(figures, truth, scores, bundle.thresholds, bundle.operating_point, title=bundle.id)
    return report


def text(report: dict[str, Any]) -> str:
    """The report as text."""
    (tn, fp), (fn, tp) = report["confusion_matrix"]
    figures = "\n".join(
        f"  {name:<26} {value:.4f}{_interval(report['intervals'].get(name))}"
        for name, value in report["metrics"].items()
        if name != "n" and not math.isnan(value)
    )
    return (
        f"{report['model']} on {report['data']['files']} images at the threshold {report['threshold']:g}\n"
        f"{figures}\n"
        f"                  read as normal  as pneumonia\n"
        f"  is normal       {tn:>14} {fp:>13}\n"
        f"  is pneumonia    {fn:>14} {tp:>13}"
    )


def _interval(interval: tuple[float, float] | None) -> str:
    return f"  (95 % interval {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
