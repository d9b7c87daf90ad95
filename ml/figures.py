"""Pictures of how well a model does."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

mpl.use("Agg")

import matplotlib.pyplot as plt

from ml.architectures import CLASSES

NORMAL, PNEUMONIA, ACCENT = "#4c8c6b", "#c0563b", "#31688e"


def draw(folder: Path, truth: NDArray[Any], scores: NDArray[Any], threshold: float, title: str) -> list[Path]:
    """Draw the confusion matrix, ROC, precision-recall curve and histogram of scores as PNG files.

    Args:
        folder: made where it is missing.
        truth: ``(n,)`` of 0 and 1, both present.
        scores: ``(n,)`` probability of pneumonia.
        threshold: the operating point, marked in each picture.
        title: above each picture.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in (
        ("confusion_matrix", _confusion), ("roc", _roc), ("precision_recall", _precision_recall), ("scores", _scores),
    ):  # fmt: skip
        figure, axes = plt.subplots(figsize=(5, 4.4), layout="constrained")
        picture(axes, truth, scores, threshold)
        axes.set_title(title, fontsize=10)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=150)
        plt.close(figure)
    return files


def _confusion(axes: Any, truth: NDArray[Any], scores: NDArray[Any], threshold: float) -> None:
    matrix = sk.confusion_matrix(truth, scores >= threshold, labels=[0, 1])
    shown = sk.ConfusionMatrixDisplay(matrix, display_labels=[name.capitalize() for name in CLASSES])
    shown.plot(ax=axes, cmap="Blues", colorbar=False)
    axes.set(xlabel=f"Read as, at the threshold {threshold:g}", ylabel="Is")


def _roc(axes: Any, truth: NDArray[Any], scores: NDArray[Any], threshold: float) -> None:
    false_rate, true_rate, _ = sk.roc_curve(truth, scores)
    axes.plot(false_rate, true_rate, color=ACCENT, label=f"AUC {sk.roc_auc_score(truth, scores):.4f}")
    axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
    called = scores >= threshold
    axes.plot(called[truth == 0].mean(), called[truth == 1].mean(), "o", color=PNEUMONIA,
              label=f"operating point {threshold:g}")  # fmt: skip
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right")


def _precision_recall(axes: Any, truth: NDArray[Any], scores: NDArray[Any], threshold: float) -> None:
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    area = sk.average_precision_score(truth, scores)
    axes.plot(recall, precision, color=ACCENT, label=f"average precision {area:.4f}")
    called = scores >= threshold
    if called.any():
        axes.plot(called[truth == 1].mean(), truth[called].mean(), "o", color=PNEUMONIA,
                  label=f"operating point {threshold:g}")  # fmt: skip
    axes.set(xlabel="Recall", ylabel="Precision", xlim=(-0.01, 1.01), ylim=(min(0.5, precision.min()), 1.01))
    axes.legend(loc="lower left")


def _scores(axes: Any, truth: NDArray[Any], scores: NDArray[Any], threshold: float) -> None:
    bins = np.linspace(0, 1, 41).tolist()
    for label, colour in enumerate((NORMAL, PNEUMONIA)):
        axes.hist(scores[truth == label], bins, color=colour, alpha=0.7, label=CLASSES[label].capitalize())
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:g}")
    axes.set(xlabel="Probability of pneumonia", ylabel="Images", yscale="log")
    axes.legend()
