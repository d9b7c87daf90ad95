"""Plots of a model's performance."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

mpl.use("Agg")

import matplotlib.pyplot as plt

from ml.dataset.data import CLASSES
from ml.evaluation.assess import DEFAULT_POINT

if TYPE_CHECKING:
    from ml.evaluation.assess import Choice
    from ml.evaluation.robustness import Validation

MARKERS = ("o", "s", "^", "D")
NORMAL, PNEUMONIA, ACCENT = "#4c8c6b", "#c0563b", "#31688e"


Points = dict[str, float]


def draw(
    folder: Path, truth: NDArray[Any], scores: NDArray[Any], points: Points, default: str, title: str
) -> list[Path]:
    """Draw the confusion matrix, ROC, precision-recall curve and histogram of scores as PNG files.

    Args:
        folder: the output folder, created if it is missing.
        truth: ``(n,)`` of 0 and 1, both present.
        scores: ``(n,)`` the probability of pneumonia.
        points: the thresholds of the operating points by name; they are marked in each picture.
        default: the operating point for the confusion matrix.
        title: the title of each picture.

    Returns:
        The files.
    """
    files = []
    for name, picture in (("roc", _roc), ("precision_recall", _precision_recall), ("scores", _scores)):
        with _picture(folder / f"{name}.png", title) as axes:
            picture(axes, truth, scores, points)
        files.append(folder / f"{name}.png")
    with _picture(folder / "confusion_matrix.png", title) as axes:
        _confusion(axes, truth, scores, points[default])
    return [*files, folder / "confusion_matrix.png"]


def draw_choice(folder: Path, truth: NDArray[Any], scores: NDArray[Any], choice: "Choice", title: str) -> None:
    """Draw the pictures of :func:`draw` and :func:`draw_reliability` for a choice on held-out images."""
    thresholds = {key: point.threshold for key, point in choice.points.items()}
    draw(folder, truth, scores, thresholds, DEFAULT_POINT, title)
    draw_reliability(folder, choice.reliability, title)


def draw_reliability(folder: Path, bins: list[dict[str, float]], title: str) -> None:
    """Draw the share of pneumonias for each tenth of the predicted probability.

    Args:
        folder: the folder for ``reliability.png``.
        bins: from :func:`ml.statistics.calibration.reliability`.
        title: the title of the picture.
    """
    with _picture(folder / "reliability.png", title) as axes:
        axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1, label="as it should be")
        axes.plot([b["predicted"] for b in bins], [b["observed"] for b in bins], "o-", color=ACCENT, label="observed")
        for b in bins:
            axes.annotate(f"{b['n']:.0f}", (b["predicted"], b["observed"]), (4, -10), textcoords="offset points",
                          fontsize=7)  # fmt: skip
        axes.set(xlabel="Predicted probability of pneumonia", ylabel="Share with pneumonia",
                 xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # fmt: skip
        axes.legend(loc="upper left")


def draw_epochs(folder: Path, epochs: list[dict[str, Any]], title: str) -> None:
    """Draw loss and accuracy by epoch.

    Args:
        folder: the folder for ``training.png``.
        epochs: the rows of the training's log; those of several trainings follow one another.
        title: the title of the picture.
    """
    number = range(1, len(epochs) + 1)
    with _picture(folder / "training.png", title) as axes:
        axes.plot(number, [row["loss"] for row in epochs], "o-", color=ACCENT, label="loss, training")
        # An epoch that was not validated becomes a gap.
        worst = [np.nan if row["val_worst"] is None else row["val_worst"] for row in epochs]
        axes.plot(number, worst, "o-", color=PNEUMONIA, label="loss, worst held-out condition")
        axes.set(xlabel="Epoch", ylabel="Loss", ylim=(0, None))
        right = axes.twinx()
        right.plot(number, [row["binary_accuracy"] for row in epochs], "s--", color=NORMAL, label="accuracy, training")
        right.set(ylabel="Accuracy", ylim=(0.5, 1.0))
        lines = [*axes.get_lines(), *right.get_lines()]
        axes.legend(lines, [line.get_label() for line in lines], loc="lower left", fontsize=8)


def draw_mistakes(file: Path, shown: "Validation", scores: NDArray[Any], threshold: float, count: int = 24) -> None:
    """Draw the images with the largest errors, as the network saw them.

    The picture shows patients' images. Do not publish it unless the data's licence allows that.

    Args:
        file: the PNG file.
        shown: the images.
        scores: ``(n,)`` the probability of pneumonia.
        threshold: the probability from which an image counts as pneumonia.
        count: the largest number of images.
    """
    wrong = np.flatnonzero((scores >= threshold) != (shown.truth == 1))
    worst = wrong[np.argsort(-np.abs(scores[wrong] - threshold))][:count]
    rows = max(1, -(-len(worst) // 6))
    figure, grid = plt.subplots(rows, 6, figsize=(12, 2.4 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, worst, strict=False):
        axes.imshow(shown.inputs[index], cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{CLASSES[shown.truth[index]].lower()} read at {scores[index]:.3f}\n{shown.names[index]}\n"
                       f"{shown.conditions[index]}, {shown.renditions[index]}", fontsize=6)  # fmt: skip
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_comparison(file: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Draw models side by side: their figures with 95 % intervals, and their speed.

    Args:
        file: the PNG file.
        rows: from :func:`ml.experiments.compare.compare`. An untrained network has no figures, so only its speed is
            drawn.
        title: the title of the picture.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.4 + 0.4 * len(rows)), layout="constrained", width_ratios=(3, 1)
    )
    names = ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc")
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(rows)))
    read = [(row, colour) for row, colour in zip(rows, colours, strict=True) if row["metrics"]]
    for number, (row, colour) in enumerate(read):
        values = np.array([row["metrics"][name] for name in names])
        ends = np.array([row["intervals"][name] for name in names])
        # A figure may lie outside its interval by a rounding error.
        bars = np.maximum(0, [values - ends[:, 0], ends[:, 1] - values])
        offset = (number - (len(read) - 1) / 2) * 0.8 / len(read)
        left.errorbar(np.arange(len(names)) + offset, values, bars, fmt=MARKERS[number % len(MARKERS)], color=colour,
                      capsize=2, markersize=4, label=row["name"])  # fmt: skip
    left.set_xticks(range(len(names)), [{"f1": "F1", "roc_auc": "ROC AUC"}.get(name, name) for name in names])
    left.set(ylabel="Figure, with 95 % interval")
    labels = [f"{row['name']}\n{row['parameters'] or 0:,} parameters" for row in rows]
    drawn = right.barh(labels, [row["images_per_second"] for row in rows], color=colours)
    right.bar_label(drawn, fmt="%.1f", padding=2, fontsize=7)
    right.invert_yaxis()
    right.margins(x=0.25)
    right.tick_params(axis="y", labelsize=7)
    right.set(xlabel="Images a second")
    if read:
        figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    figure.suptitle(title, fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


@contextmanager
def _picture(file: Path, title: str) -> Iterator[Any]:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(5, 4.4), layout="constrained")
    yield axes
    axes.set_title(title, fontsize=9)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _confusion(axes: Any, truth: NDArray[Any], scores: NDArray[Any], threshold: float) -> None:
    matrix = sk.confusion_matrix(truth, scores >= threshold, labels=[0, 1])
    shown = sk.ConfusionMatrixDisplay(matrix, display_labels=[name.capitalize() for name in CLASSES])
    shown.plot(ax=axes, cmap="Blues", colorbar=False)
    axes.set(xlabel=f"Read as, at the threshold {threshold:g}", ylabel="Is")


def _roc(axes: Any, truth: NDArray[Any], scores: NDArray[Any], points: Points) -> None:
    false_rate, true_rate, _ = sk.roc_curve(truth, scores)
    axes.plot(false_rate, true_rate, color=ACCENT, label=f"AUC {sk.roc_auc_score(truth, scores):.4f}")
    axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
    for (name, threshold), marker in zip(points.items(), MARKERS, strict=False):
        called = scores >= threshold
        axes.plot(called[truth == 0].mean(), called[truth == 1].mean(), marker, color=PNEUMONIA,
                  label=f"{name} {threshold:g}")  # fmt: skip
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right")


def _precision_recall(axes: Any, truth: NDArray[Any], scores: NDArray[Any], points: Points) -> None:
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    area = sk.average_precision_score(truth, scores)
    axes.plot(recall, precision, color=ACCENT, label=f"average precision {area:.4f}")
    for (name, threshold), marker in zip(points.items(), MARKERS, strict=False):
        called = scores >= threshold
        if called.any():
            axes.plot(called[truth == 1].mean(), truth[called].mean(), marker, color=PNEUMONIA,
                      label=f"{name} {threshold:g}")  # fmt: skip
    axes.set(xlabel="Recall", ylabel="Precision", xlim=(-0.01, 1.01), ylim=(min(0.5, precision.min()), 1.01))
    axes.legend(loc="lower left")


def _scores(axes: Any, truth: NDArray[Any], scores: NDArray[Any], points: Points) -> None:
    bins = np.linspace(0, 1, 41).tolist()
    for label, colour in enumerate((NORMAL, PNEUMONIA)):
        axes.hist(scores[truth == label], bins, color=colour, alpha=0.7, label=CLASSES[label].capitalize())
    for (name, threshold), style in zip(points.items(), ("--", ":", "-."), strict=False):
        axes.axvline(threshold, color="black", linestyle=style, linewidth=1, label=f"{name} {threshold:g}")
    axes.set(xlabel="Probability of pneumonia", ylabel="Images", yscale="log")
    axes.legend()
