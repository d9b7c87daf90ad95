"""Markdown tables that compare several runs by held-out condition."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.errors import BundleError
from ml.evaluation.assess import EVERYTHING


def read(source: Path) -> dict[str, Any]:
    """The figures of a run that was only measured (its ``report.json``), or of a bundle (its folder).

    Raises:
        BundleError: if there are no figures.
    """
    file = source / "bundle.json" if source.is_dir() else source
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{source}: {error}") from error
    report = content.get("held_out", content)
    if "groups" not in report or "conditions" not in report:
        raise BundleError(f"{source} holds no figures by condition; `ml train` and `ml calibrate` write them")
    return dict(report)


def markdown(reports: dict[str, dict[str, Any]]) -> str:
    """Two tables: the runs with their main figures, and the ROC AUC of each run under each condition.

    Args:
        reports: the reports from :func:`read`, by the name of the run.

    Returns:
        Markdown, with 95 % bootstrap intervals over patients in brackets.
    """
    runs = [_row("run", "n", "ROC AUC", "worst group's", "recall", "specificity", "ECE", "most labels changed by")]
    runs.append(_row(*["---"] * 8))
    for name, report in reports.items():
        groups = report["groups"]
        worst = min((group for group in groups if group != EVERYTHING), key=lambda group: _auc(groups[group]))
        changed = report["changed_labels"]
        largest_change = max(changed, key=lambda change: changed[change]["changed"])
        overall = groups[EVERYTHING]
        runs.append(_row(
            name, overall["n"], _interval(overall, "roc_auc", 4), f"{_interval(groups[worst], 'roc_auc', 4)}, {worst}",
            _interval(overall, "recall", 3), _interval(overall, "specificity", 3),
            f"{report['calibration']['expected_calibration_error']:.3f}",
            f"{largest_change}: {changed[largest_change]['changed']:.1%}",
        ))  # fmt: skip
    conditions = list(dict.fromkeys(change for report in reports.values() for change in report["conditions"]))
    by_condition = [_row("ROC AUC", *reports), _row(*["---"] * (len(reports) + 1))]
    for change in conditions:
        rows_of_condition = [report["conditions"].get(change) for report in reports.values()]
        by_condition.append(
            _row(
                change, *("–" if figures is None else _interval(figures, "roc_auc", 4) for figures in rows_of_condition)
            )
        )
    return "\n".join([*runs, "", *by_condition]) + "\n"


def print_table(sources: Sequence[str]) -> None:
    """Print the tables of runs, each given as ``NAME=PATH`` or ``PATH``."""
    reports = {}
    for source in sources:
        name, _, path = source.rpartition("=")
        reports[name or Path(path).name] = read(Path(path))
    print(markdown(reports), end="")


def _auc(figures: dict[str, Any]) -> float:
    return float(figures["roc_auc"])


def _interval(figures: dict[str, Any], name: str, digits: int) -> str:
    low, high = figures["intervals"][name]
    return f"{figures[name]:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
