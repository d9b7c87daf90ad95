"""Adapt the last layer of a bundle's network to images of another place, where that is better than calibrating alone.

The convolutions and the hidden layer stay. The output's weights get a correction that is pulled back to the released
ones (:mod:`ml.statistics.correction`).
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles import bundle
from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.evaluation import assess, card, elsewhere, figures, robustness
from ml.evaluation.robustness import Validation
from ml.inference import engines, novelty
from ml.inference.engines.head import log_odds
from ml.inference.engines.mnn_engine import MnnEngine
from ml.statistics import bootstrap, calibration, correction, paired
from ml.statistics.correction import Correction
from ml.statistics.paired import Reading

#: The fewest images, and patients, of each class.
IMAGES, PATIENTS = 50, 10
SEED = 7
#: What ``bundle.json`` says of another network, of other images, or of engines that were measured with it.
NOT_HANDED_ON = ("format", "weights", "calibrated_on", "calibrated_from", "elsewhere", engines.INT8)
HEADINGS = {
    "roc_auc": "ROC AUC", "brier": "Brier score", "ece": "calibration error",
    "recall": "sensitivity", "specificity": "specificity",
}  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A bundle that was calibrated, beside the same that was adapted as well, on patients that took no part in either.

    Attributes:
        probability: ``(n,)`` of pneumonia, adapted and calibrated.
        calibrated: the figures of :func:`ml.evaluation.elsewhere.measured`, calibrated only, on the images as they are.
        adapted: the same, adapted and calibrated.
        differences: between these two, see :func:`ml.statistics.paired.differences_of`.
    """

    probability: Floats
    calibrated: dict[str, float]
    adapted: dict[str, float]
    differences: dict[str, dict[str, Any]]

    @property
    def better(self) -> bool:
        """Whether the interval of ROC AUC or of the Brier score is all on the better side, and neither on the worse."""
        ranks, brier = (self.differences[name]["interval"] for name in ("roc_auc", "brier"))
        return (ranks[0] > 0 or brier[1] < 0) and ranks[1] >= 0 and brier[0] <= 0

    def text(self) -> str:
        """A line for each figure."""
        lines = [f"{'':18}calibrated   adapted   difference (95 % interval)"]
        for name, heading in HEADINGS.items():
            value, (low, high) = self.differences[name]["value"], self.differences[name]["interval"]
            both = f"{heading:18}{self.calibrated[name]:10.3f}{self.adapted[name]:10.3f}"
            lines.append(f"{both}   {value:+.3f} ({low:+.3f} to {high:+.3f})")
        return "\n".join(lines)


def adapt(
    source: Bundle, samples: Sequence[data.Sample], output: Path, *, name: str = "", version: str
) -> Bundle | None:
    """Adapt a bundle, print how it compares with one that is calibrated only, and write it where it is better.

    Args:
        source: the bundle, of a VGG16.
        samples: of patients that the network has not been trained on, of the place where it will be used.
        output: the new bundle's folder.
        name: of the new bundle; by default the source's with ``-adapted``.
        version: of the new bundle.

    Returns:
        The new bundle, or None where calibration alone is the better choice.

    Raises:
        ValueError: with fewer than :data:`IMAGES` images or :data:`PATIENTS` patients of a class.
        FileExistsError: where the folder is there already.
    """
    if output.exists():
        raise FileExistsError(f"{output} is there already")
    engines.require(engines.MNN, source)
    _check(samples)
    shown = robustness.validation(samples, source.preprocessing, robustness.BRIEF, SEED)
    hidden = MnnEngine(source).hidden(shown.inputs).astype(np.float64)
    odds = log_odds(source.weights(), hidden)
    compared = compare(shown, odds, hidden)
    patients = len(np.unique(shown.patients))
    print(f"{len(samples)} images of {patients} patients in five parts, each read by what the other four chose:")
    print(compared.text())
    found, crossed = correction.fit_best(shown.truth, odds, hidden, shown.patients)
    if not compared.better or not found.strength:
        print("Calibration alone is the better choice (python -m ml calibrate): nothing is written.")
        return None
    arrays, factor = corrected(source, found)
    choice = assess.choose(shown, calibration.probability(crossed * factor))
    meta = {key: value for key, value in source.meta.items() if key not in NOT_HANDED_ON}
    meta |= {
        "name": name or f"{source.name}-adapted",
        "version": version,
        **assess.described(choice),
        "held_out": assess.report(shown, compared.probability, choice),
        "adapted_on": {
            "sha256": data.fingerprint(samples),
            "files": len(samples),
            "patients": patients,
            "strength": found.strength,
            "differences": compared.differences,
        },
        "adapted_from": source.id,
        "created": time.strftime("%Y-%m-%d"),
    }
    written = bundle.write_arrays(output, arrays, meta)
    if "novelty" in meta:
        shutil.copy(source.path / novelty.FILE, output)
    title = f"{written.id}, {len(samples)} files, half of what is shown perturbed"
    figures.draw_choice(output / "figures", shown.truth, compared.probability, choice, title)
    (output / "MODEL_CARD.md").write_text(card.text(written))
    return written


def compare(shown: Validation, odds: Floats, hidden: Floats, rounds: int = bootstrap.ROUNDS) -> Comparison:
    """Compare adapting and calibrating with calibrating, on five parts of the patients, each by what the others choose.

    Args:
        shown: local images, as they are and changed.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, 512)`` its hidden layer.
        rounds: of drawing patients.
    """
    part = calibration.parts(shown.truth, shown.patients)
    before, after = (Reading(name, np.empty(len(odds)), np.empty(len(odds))) for name in ("calibrated", "adapted"))
    for fold in np.unique(part):
        here = part == fold
        rest = shown.only(~here)
        found, crossed = correction.fit_best(rest.truth, odds[~here], hidden[~here], rest.patients)
        for reading, learnt, new in (
            (before, odds[~here], odds[here]),
            (after, crossed, found.apply(odds[here], hidden[here])),
        ):
            choice = assess.choose(rest, calibration.probability(learnt))
            reading.probability[here] = choice.calibration.apply(calibration.probability(new))
            np.asarray(reading.threshold)[here] = choice.points[assess.DEFAULT_POINT].threshold
    plain = shown.conditions == "plain"
    truth = shown.truth[plain]
    both = before.only(plain), after.only(plain)
    differences = paired.differences_of(truth, *both, shown.patients[plain], elsewhere.measured, rounds=rounds)
    calibrated, adapted = (elsewhere.measured(truth, reading.probability, reading.threshold) for reading in both)
    return Comparison(after.probability, calibrated, adapted, differences)


def corrected(source: Bundle, found: Correction) -> tuple[dict[str, NDArray[Any]], float]:
    """A bundle's arrays, with a correction in those of the outputs.

    The outputs' weights are brought to the length that they had, since maps are drawn by a fixed scale. The output of
    normal becomes the opposite of that of pneumonia.

    Returns:
        The arrays, and the factor that the corrected log-odds were multiplied by.
    """
    weights = source.weights()
    kernel, bias = (weights[f"probabilities/{part}"][..., 1].astype(np.float64) for part in ("kernel", "bias"))
    column = found.slope * kernel + found.weights
    factor = float(np.linalg.norm(kernel) / np.linalg.norm(column))
    with np.load(source.path / bundle.WEIGHTS, allow_pickle=False) as stored:
        arrays = dict(stored)
    constant = (found.slope * bias + found.intercept) * factor
    arrays["probabilities/kernel"] = (np.stack([-column, column], axis=1) * factor).astype(np.float16)
    arrays["probabilities/bias"] = np.array([-constant, constant], np.float16)
    return arrays, factor


def _check(samples: Sequence[data.Sample]) -> None:
    for label, name in enumerate(data.CLASSES):
        mine = [sample.patient for sample in samples if sample.label == label]
        if len(mine) < IMAGES or len(set(mine)) < PATIENTS:
            raise ValueError(
                f"adapting needs {IMAGES} images of {PATIENTS} patients in each class; of {name} there are {len(mine)} "
                f"images of {len(set(mine))} patients"
            )
