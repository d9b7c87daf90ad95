"""The section of a model card about other hospitals, from ``elsewhere`` and ``folds`` in ``bundle.json``."""

from typing import Any

OF_TRAININGS = (
    "In these tables each training is calibrated on its own patients, and its log-odds are moved so that all have one "
    "threshold; only the probability is known of them. `that of true probabilities` is the calibration error that "
    "probabilities which are true would have on so few images."
)


def text(meta: dict[str, Any]) -> list[str]:
    """The card's paragraphs and tables; empty if nothing was measured."""
    parts = [*_folds(meta.get("folds")), *_measured_elsewhere(meta.get("elsewhere"))]
    return ["## Other hospitals", *parts] if parts else []


def _folds(folds: dict[str, Any] | None) -> list[str]:
    if not folds:
        return []
    rows = "\n".join(f"| {name} | {value:.3f}{_interval(folds, name)} |" for name, value in folds["figures"].items())
    return [
        f"This network has learnt from other hospitals' chests. So these figures are those of {folds['trainings']} "
        "trainings of the same recipe, each of which was asked about patients, and a block of normals, that it had not "
        "learnt from. Each training's threshold keeps a sensitivity of 0.97 on its own patients. `own` and `block` are "
        "of the hospital that this network learnt from; evidence is on the lungs or beside them.",
        f"| | |\n|---|---|\n{rows}",
        *_doubts(folds),
        *[OF_TRAININGS] * ("coverage" in folds),
    ]


def _interval(folds: dict[str, Any], name: str) -> str:
    measured = folds.get("intervals", {}).get(name)
    return " ({:.3f}–{:.3f}), {} images".format(*measured["interval"], measured["images"]) if measured else ""


def _measured_elsewhere(figures: dict[str, Any] | None) -> list[str]:
    if not figures:
        return []
    return [
        f"At `{figures['at']}`. A sensitivity or specificity stands alone where only one of them is labelled, and none "
        "where no label can be relied on; series of COVID-19 are labelled by case, and a single image of one may look "
        "clear. Evidence: of the images that are called pneumonia, in how many the map's strongest place is on the "
        "lungs or beside them, and how much of the map is at the median.",
        _origins(figures["origins"]),
        *_doubts(figures),
        *_adapted(figures.get("adapted", {})),
    ]


def _doubts(figures: dict[str, Any]) -> list[str]:
    if not figures.get("coverage"):
        return []
    return [
        "**Answers that are left out.** Errors among those of the images that are the most certain, by each measure of "
        "certainty, and by how much the area under this curve is below that of the probability alone (95 % interval; "
        "above 0 a measure helps):",
        _coverage(figures["coverage"]),
        *_calibrated(figures.get("calibrated", {})),
    ]


def _origins(origins: dict[str, Any]) -> str:
    lines = [
        "| images | n | labelled | called | sensitivity | specificity | ROC AUC | peak on lungs | map there |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row_figures in origins.items():
        answers, evidence = row_figures["answers"], row_figures["evidence"]
        cells = [_cell(answers, key) for key in ("recall", "specificity", "roc_auc")]
        evidence_cells = [
            f"{evidence[key]:.2f}" if key in evidence else "–" for key in ("peak_inside", "median_inside")
        ]
        row = [name, str(answers["n"]), str(answers["labelled"]), f"{answers['called']:.3f}", *cells, *evidence_cells]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _cell(figures: dict[str, Any], key: str) -> str:
    if key not in figures:
        return "–"
    low, high = figures.get("intervals", {}).get(key, (None, None))
    return f"{figures[key]:.3f}" + (f" ({low:.3f}–{high:.3f})" if low is not None else "")


def _coverage(origins: dict[str, Any]) -> str:
    shares = list(next(iter(next(iter(origins.values())).values()))["errors"]) if origins else []
    lines = [
        f"| images | certainty | {' | '.join(f'{float(share):.0%}' for share in shares)} | gain |",
        f"|---|---|{'---|' * len(shares)}---|",
    ]
    for name, kinds in origins.items():
        for kind, figures in kinds.items():
            low, high = figures["gain"]
            gain = "" if kind == "probability" else f"{low:+.4f} to {high:+.4f}"
            intervals = figures.get("intervals", {})  # only in figures measured since 1.4.0
            errors = " | ".join(
                f"{figures['errors'][share]:.3f}" + (" ({:.3f}–{:.3f})".format(*intervals[share]) if intervals else "")
                for share in shares
            )
            lines.append(f"| {name} | {kind} | {errors} | {gain} |")
    return "\n".join(lines)


def _calibrated(origins: dict[str, Any]) -> list[str]:
    parts = []
    for name, rows in origins.items():
        names = {"ece": "calibration error", "chance": "that of true probabilities", "brier": "Brier score",
                 "recall": "sensitivity", "specificity": "specificity"}  # fmt: skip
        shown = [key for key in names if key in rows["released"]]
        lines = [f"| images | {' | '.join(names[key] for key in shown)} |", f"|---|{'---|' * len(shown)}"]
        for size in sorted(rows, key=lambda size: 0 if size == "released" else int(size)):
            figures = rows[size]
            cells = ["{:.3f} ({:.3f}–{:.3f})".format(*figures[key]) for key in shown]
            lines.append(f"| {'none' if size == 'released' else size} | {' | '.join(cells)} |")
        parts += [
            f"**Calibrated on some of `{name}`** (`python -m ml calibrate`, or a department's page), measured on its "
            "other patients: the mean over draws of patients and the middle 95 % of them. The threshold is the highest "
            "that keeps a sensitivity of 0.85 on the drawn ones.",
            "\n".join(lines),
        ]
    return parts


def _adapted(origins: dict[str, Any]) -> list[str]:
    parts = []
    for name, sizes in origins.items():
        lines = [
            "| images | draws | | ROC AUC | Brier score | calibration error | sensitivity | specificity |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for size, figures in sizes.items():
            for kind in ("calibrated", "adapted", "gain"):
                row = [figures[kind][key] for key in ("roc_auc", "brier", "ece", "recall", "specificity")]
                sign = "+" if kind == "gain" else ""
                cells = [f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})" for mean, low, high in row]
                lines.append(f"| {size} | {figures['draws']} | {kind} | {' | '.join(cells)} |")
        parts += [
            f"**Adapted to some of `{name}`** (`python -m ml adapt`), measured as above, beside calibration alone:",
            "\n".join(lines),
        ]
    return parts
