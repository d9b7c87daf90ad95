"""A comparison as Markdown and as CSV."""

import csv
from pathlib import Path
from typing import Any

from ml.statistics.paired import NAMES, SIGNIFICANT

FIGURES = ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc")
HEADINGS = ("accuracy", "precision", "recall", "specificity", "F1", "AUC")


def markdown(report: dict[str, Any]) -> str:
    """The whole comparison as Markdown.

    Args:
        report: from :func:`ml.experiments.compare.compare`.

    Returns:
        Markdown whose columns also line up as plain text.
    """
    read = any(row["metrics"] for row in report["models"])
    parts = [_models(report), *(report["notes"] if read else ["Nothing was read: no network was trained."])]
    speed = report["speed"]
    parts.append(
        f"Images a second: batches of {speed['batch']}, {speed['device']}, one model after the other in this run."
    )
    if report["pairs"]:
        parts.append("Intervals: 95 %, from 1,000 draws of patients, the same draws for both models.")
    return "\n\n".join([*parts, *(_pair(pair) for pair in report["pairs"])]) + "\n"


def write_csv(report: dict[str, Any], file: Path) -> None:
    """Write a row for each model, with each figure and its 95 % interval. Figures that were not measured are empty."""
    plain = ("name", "architecture", "parameters", "size", "origin", "threshold", "images_per_second")
    ends = [f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*plain, "files", "patients", *ends])
        for row in report["models"]:
            figures = (
                [value for name in FIGURES for value in (row["metrics"][name], *row["intervals"][name])]
                if row["metrics"]
                else [None] * len(ends)
            )
            counts = (report["data"]["files"], report["data"]["patients"])
            writer.writerow([*(row[name] for name in plain), *counts, *figures])


def _models(report: dict[str, Any]) -> str:
    rows = [
        [
            row["name"],
            row["origin"],
            f"{row['parameters']:,}" if row["parameters"] else "–",
            f"{row['threshold']:g}",
            *(f"{row['metrics'][name]:.4f}" if row["metrics"] else "–" for name in FIGURES),
            f"{row['images_per_second']:.1f}",
        ]
        for row in report["models"]
    ]
    return _table([["model", "weights", "parameters", "threshold", *HEADINGS, "images/s"], *rows])


def _pair(pair: dict[str, Any]) -> str:
    rows = [
        [
            NAMES.get(name, name),
            f"{difference['value']:+.4f}",
            f"{difference['interval'][0]:+.4f} to {difference['interval'][1]:+.4f}",
        ]
        for name, difference in pair["differences"].items()
    ]
    labels = pair["mcnemar"]
    return (
        f"{pair['second']} less {pair['first']}:\n\n"
        + _table([["figure", "difference", "95 % interval"], *rows])
        + f"\n\nLabels: {labels['only_second_right']} images are read rightly by {pair['second']} only, "
        f"{labels['only_first_right']} by {pair['first']} only; McNemar's exact test p = {labels['p']:.4g} "
        f"({'below' if labels['p'] < SIGNIFICANT else 'not below'} {SIGNIFICANT}).\n\n**{pair['verdict']}**"
    )


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
