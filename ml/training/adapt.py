"""Adapt the last layer of a bundle's network to images of another place, if that is better than calibration alone.

The convolutions and the hidden layer stay the same. The weights of the outputs get a correction, regularised towards
the released weights (:mod:`ml.statistics.correction`).
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
#: The keys of ``bundle.json`` that hold only for the old network, its images, or the engines measured with it.
NOT_HANDED_ON = ("format", "weights", "calibrated_on", "calibrated_from", "elsewhere", engines.INT8)
HEADINGS = {
    "roc_auc": "ROC AUC", "brier": "Brier score", "ece": "calibration error",
    "recall": "sensitivity", "specificity": "specificity",
}  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A bundle that is only calibrated, compared with one that is also adapted, on patients used for neither.

    Attributes:
        probability: ``(n,)`` the probability of pneumonia, adapted and calibrated.
        calibrated: the figures of :func:`ml.evaluation.elsewhere.measured` on the unchanged images, calibrated only.
        adapted: the same, adapted and calibrated.
        differences: the differences between the two, see :func:`ml.statistics.paired.differences_of`.
    """

    probability: Floats
    calibrated: dict[str, float]
    adapted: dict[str, float]
    differences: dict[str, dict[str, Any]]

    @property
    def better(self) -> bool:
        """Whether ROC AUC or the Brier score is significantly better, by its interval, and neither is worse."""
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
    """Adapt a bundle, print how it compares with one that is only calibrated, and write it if it is better.

    Args:
        source: the bundle of a VGG16.
        samples: samples of patients that the network was not trained on, from where it will be used.
        output: the new bundle's folder.
        name: the name of the new bundle; by default the source's name with ``-adapted``.
        version: the version of the new bundle.

    Returns:
        The new bundle, or None if calibration alone is the better choice.

    Raises:
        ValueError: with fewer than :data:`IMAGES` images or :data:`PATIENTS` patients in a class.
        FileExistsError: if the folder already exists.
    """
    if output.exists():
        raise FileExistsError(f"{output} is there already")
    engines.require(engines.MNN, source)
    _check(samples)
    shown = robustness.validation(samples, source.preprocessing, robustness.BRIEF, SEED)
    hidden = MnnEngine(source).hidden(shown.inputs).astype(np.float64)
    odds = log_odds(source.weights(), hidden)
    comparison = compare(shown, odds, hidden)
    patients = len(np.unique(shown.patients))
    print(f"{len(samples)} images of {patients} patients in five parts, each read by what the other four chose:")
    print(comparison.text())
    layer_correction, cross_fitted = correction.fit_best(shown.truth, odds, hidden, shown.patients)
    if not comparison.better or not layer_correction.strength:
        print("Calibration alone is the better choice (python -m ml calibrate): nothing is written.")
        return None
    arrays, factor = corrected(source, layer_correction)
    choice = assess.choose(shown, calibration.probability(cross_fitted * factor))
    meta = {key: value for key, value in source.meta.items() if key not in NOT_HANDED_ON}
    meta |= {
        "name": name or f"{source.name}-adapted",
        "version": version,
        **assess.described(choice),
        "held_out": assess.report(shown, comparison.probability, choice),
        "adapted_on": {
            "sha256": data.fingerprint(samples),
            "files": len(samples),
            "patients": patients,
            "strength": layer_correction.strength,
            "differences": comparison.differences,
        },
        "adapted_from": source.id,
        "created": time.strftime("%Y-%m-%d"),
    }
    written = bundle.write_arrays(output, arrays, meta)
    if "novelty" in meta:
        shutil.copy(source.path / novelty.FILE, output)
    title = f"{written.id}, {len(samples)} files, half of what is shown perturbed"
    figures.draw_choice(output / "figures", shown.truth, comparison.probability, choice, title)
    (output / "MODEL_CARD.md").write_text(card.text(written))
    return written


def compare(shown: Validation, odds: Floats, hidden: Floats, rounds: int = bootstrap.ROUNDS) -> Comparison:
    """Compare adapting and calibrating with calibrating alone, by five-fold cross-validation over patients.

    Args:
        shown: the local images, as they are and changed.
        odds: ``(n,)`` the network's log-odds of pneumonia before calibration.
        hidden: ``(n, 512)`` its hidden layer.
        rounds: the number of bootstrap draws of patients.
    """
    part = calibration.parts(shown.truth, shown.patients)
    before, after = (Reading(name, np.empty(len(odds)), np.empty(len(odds))) for name in ("calibrated", "adapted"))
    for fold in np.unique(part):
        in_fold = part == fold
        rest = shown.only(~in_fold)
        layer_correction, cross_fitted = correction.fit_best(
            rest.truth, odds[~in_fold], hidden[~in_fold], rest.patients
        )
        for reading, training_odds, test_odds in (
            (before, odds[~in_fold], odds[in_fold]),
            (after, cross_fitted, layer_correction.apply(odds[in_fold], hidden[in_fold])),
        ):
            choice = assess.choose(rest, calibration.probability(training_odds))
            reading.probability[in_fold] = choice.calibration.apply(calibration.probability(test_odds))
            np.asarray(reading.threshold)[in_fold] = choice.points[assess.DEFAULT_POINT].threshold
    plain = shown.conditions == "plain"
    truth = shown.truth[plain]
    both = before.only(plain), after.only(plain)
    differences = paired.differences_of(truth, *both, shown.patients[plain], elsewhere.measured, rounds=rounds)
    calibrated, adapted = (elsewhere.measured(truth, reading.probability, reading.threshold) for reading in both)
    return Comparison(after.probability, calibrated, adapted, differences)


def corrected(source: Bundle, layer_correction: Correction) -> tuple[dict[str, NDArray[Any]], float]:
    """A bundle's arrays with a correction applied to the outputs.

    The weights of the outputs are rescaled to their original length, because maps are drawn with a fixed scale. The
    output for normal becomes the negative of the one for pneumonia.

    Returns:
        The arrays, and the factor that the corrected log-odds are multiplied by.
    """
    weights = source.weights()
    kernel, bias = (weights[f"probabilities/{part}"][..., 1].astype(np.float64) for part in ("kernel", "bias"))
    column = layer_correction.slope * kernel + layer_correction.weights
    factor = float(np.linalg.norm(kernel) / np.linalg.norm(column))
    with np.load(source.path / bundle.WEIGHTS, allow_pickle=False) as file:
        arrays = dict(file)
    constant = (layer_correction.slope * bias + layer_correction.intercept) * factor
    arrays["probabilities/kernel"] = (np.stack([-column, column], axis=1) * factor).astype(np.float16)
    arrays["probabilities/bias"] = np.array([-constant, constant], np.float16)
    return arrays, factor


def _check(samples: Sequence[data.Sample]) -> None:
    for label, name in enumerate(data.CLASSES):
        patient_ids = [sample.patient for sample in samples if sample.label == label]
        if len(patient_ids) < IMAGES or len(set(patient_ids)) < PATIENTS:
            raise ValueError(
                f"adapting needs {IMAGES} images of {PATIENTS} patients in each class; of {name} there are "
                f"{len(patient_ids)} images of {len(set(patient_ids))} patients"
            )
