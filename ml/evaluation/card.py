"""The model card. It is written from ``bundle.json`` alone, so it cannot contain figures that were not measured."""

import math
from typing import Any

from ml.bundles.bundle import Bundle
from ml.evaluation import card_elsewhere, card_groups, card_origin

FIGURES = ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc")
HEADINGS = ("accuracy", "precision", "recall", "specificity", "F1", "ROC AUC")


def text(bundle: Bundle) -> str:
    """The card of a bundle, in Markdown."""
    meta, held_out = bundle.meta, bundle.meta["held_out"]
    adults = bool(meta.get("training", {}).get("external"))
    parts = [
        f"# Model card: {bundle.name} {bundle.version}",
        WRITTEN,
        "## What it is",
        f"A {bundle.architecture} network{_parameters(meta)}. It gives the probability that a frontal chest X-ray "
        f"shows pneumonia. From the threshold **{bundle.threshold:g}** up an image is labelled `PNEUMONIA`, below it "
        "`NORMAL`.",
        _points(bundle),
        "## What it is for, and not for",
        INTENDED.format(ages=f"{'mostly ' * adults}from children aged one to five{' only' * (not adults)}"),
        card_groups.carried(meta),
        *card_groups.text(meta),
        *card_origin.text(meta),
        "## How good it is",
        HOW.format(point=held_out["at"], threshold=bundle.threshold),
        _table(held_out["groups"]),
        "At each operating point (`all`: as they are and changed; `plain`: as they are):",
        _table({f"{p}, {g}": figures for p, groups in held_out["points"].items() for g, figures in groups.items()}),
        "**These figures flatter.** The epoch, the calibration and the thresholds were chosen on the same patients, "
        "who come from the same hospital, years and export as those trained on. Where exposure, framing or origin "
        "differ more, expect less, above all more false alarms on normal images: that is how models trained on this "
        "data are known to fail.",
        *_details(held_out),
        "## Calibration",
        _calibration(meta, held_out["calibration"]),
        _novelty(meta.get("novelty")),
        *card_elsewhere.text(meta),
        "## Failure modes",
        FAILURES.format(unseen="" if adults else "adults, "),
        "## Files",
        "`weights.npz` holds the weights in float16, one array for each variable; `figures/` the curves of the "
        "held-out images. The weights are released under Apache-2.0; the data set that they learnt from is CC BY 4.0, "
        "and so its authors above are named.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def refresh(bundle: Bundle) -> None:
    """Rewrite a bundle's card, unless the existing one was written by a person."""
    file = bundle.path / "MODEL_CARD.md"
    if file.exists() and WRITTEN in file.read_text():
        file.write_text(text(bundle))


WRITTEN = "Written by `python -m ml` from `bundle.json` in this folder."

INTENDED = """\
For trained staff who look at the X-ray themselves, as a second look or to decide what is read first, and for research.
**It is not a medical device and gives no diagnosis.**

It is not for adults (it learnt {ages}), other views than frontal, other modalities, or
other findings. A result of `NORMAL` does not rule pneumonia out. Its figures are those of one hospital. Elsewhere more
of its answers are wrong: measure and calibrate it on a hospital's own images before it is used there."""

HOW = """\
All figures are of the held-out patients, with the released (float16) weights, calibrated, at the operating point
`{point}` ({threshold:g}) unless another is named. Each held-out file counts twice: as it is (`plain`), and with
everything changed at once that a real upload could differ in (framing, exposure, sharpness, noise, JPEG quality; see
`ml/pictures/augment.py`). `small` files have 224 pixels, `large` ones 448. Pneumonia is the positive class; recall is
sensitivity. In brackets: 95 % intervals from 1,000 draws of patients."""

FAILURES = """\
- A normal X-ray that is exposed, framed or processed unlike the training images may be called pneumonia, and a
  pneumonia that is faint, hidden behind the heart or early may be called normal.
- It reads whatever it is given. The check for images that are no chest X-ray catches many of them, not all.
- It may rest on things that go with pneumonia in one hospital (tubes, posture, a portable machine) rather than on the
  lungs. The heat map shows where the evidence lay, not that it was right.
- It was never shown {unseen}lateral views, or a film photographed with a telephone."""


def _parameters(meta: dict[str, Any]) -> str:
    return f" with {meta['parameters']:,} parameters" if "parameters" in meta else ""


def _points(bundle: Bundle) -> str:
    points = bundle.meta.get("operating_points", {})
    return "\n".join(f"- `{name}`: {point['threshold']:g}, {point['rule']}." for name, point in points.items())


def _table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [f"| images | n | {' | '.join(HEADINGS)} |", f"|---|---|{'---|' * len(HEADINGS)}"]
    for name, figures in rows.items():
        cells = [_cell(figures[key], figures["intervals"].get(key), 4 if key == "roc_auc" else 3) for key in FIGURES]
        lines.append(f"| {name} | {figures['n']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float, interval: tuple[float, float] | None, digits: int) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return f"{text} ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})" if interval else text


def _details(held_out: dict[str, Any]) -> list[str]:
    """The tables of subgroups and single changes, if the bundle was measured on them."""
    if "conditions" not in held_out:
        return []
    return [
        "## Where it is better and worse",
        _subgroups(held_out["subgroups"]),
        "Each single change of the image (`ml/evaluation/robustness.py`), and how many labels it changes:",
        _conditions(held_out["conditions"], held_out["changed_labels"]),
    ]


def _subgroups(groups: dict[str, dict[str, float]]) -> str:
    lines = ["| images (as they are and changed) | n | read rightly |", "|---|---|---|"]
    lines += [f"| {name} | {group['n']} | {group['read_rightly']:.3f} |" for name, group in groups.items()]
    return "\n".join(lines)


def _conditions(conditions: dict[str, dict[str, Any]], changed: dict[str, dict[str, float]]) -> str:
    lines = [
        "| change | n | accuracy | recall | specificity | ROC AUC | labels changed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in conditions.items():
        cells = [
            _cell(figures[key], figures["intervals"].get(key), 4 if key == "roc_auc" else 3)
            for key in ("accuracy", "recall", "specificity", "roc_auc")
        ]
        lines.append(f"| {name} | {figures['n']} | {' | '.join(cells)} | {changed[name]['changed']:.1%} |")
    return "\n".join(lines)


def _calibration(meta: dict[str, Any], figures: dict[str, float]) -> str:
    method = meta["calibration"]
    share = "" if {"adapted_on", "calibrated_on"} & meta.keys() else " (three in four)"
    return (
        f"Platt scaling of the log-odds (slope {method['slope']:.3f}, intercept {method['intercept']:.3f}), fitted on "
        "the held-out images, as they are and changed. Measured on patients that took no part in the fit (five-fold): "
        f"expected calibration error {figures['expected_calibration_error']:.4f} "
        f"({figures['expected_calibration_error_before']:.4f} without), Brier score {figures['brier']:.4f} "
        f"({figures['brier_before']:.4f} without). It holds where pneumonia is as frequent as in this data{share}; "
        "where it is rarer, the same image's probability is lower than shown."
    )


def _novelty(figures: dict[str, Any] | None) -> str:
    if not figures:
        return ""
    lines = [
        "| pictures | n | flagged | if not learnt from | median distance, in thresholds |",
        "|---|---|---|---|---|",
    ]
    for kind, k in figures["kinds"].items():
        unlearnt = f"{k['unlearnt']:.1%}" if "unlearnt" in k else ""
        lines.append(f"| {kind} | {k['n']} | {k['flagged']:.1%} | {unlearnt} | {k['median']:.2f} |")
    learnt = (
        " The regressions learnt from other drawings, and from no photograph; "
        "`if not learnt from` is what a check flags that has learnt from the other drawings only."
        if any("unlearnt" in k for k in figures["kinds"].values())
        else ""
    )
    return "\n\n".join(
        (
            "## Images that are no chest X-ray",
            f"By {figures['method']}, {figures['components']} of them, fitted on {figures['training_images']} images. "
            f"Pictures beyond its thresholds get the warning `not_chest_xray`. {_thresholds(figures)}{learnt}",
            "\n".join(lines),
        )
    )


def _thresholds(figures: dict[str, Any]) -> str:
    """The sentence about the chests that the thresholds were chosen on."""
    if "flagged_held_out_by_other_half" in figures:
        return (
            "The threshold of the distance was chosen on the held-out chests of the first two rows; with the one from "
            f"the other half of their patients, {figures['flagged_held_out_by_other_half']:.1%} of them are flagged."
        )
    more = (
        " and on other hospitals'. Each row of a hospital's chests is what a check flags that has never seen that one; "
        "real pictures of other things are measured by checks that learnt from others of them."
    )
    chosen = "The thresholds were chosen on the held-out chests of the first two rows"
    return chosen + (more if figures["elsewhere"] else ".")
