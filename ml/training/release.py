"""Release a finished training as a bundle: calibrate, choose the operating points, measure, draw, write."""

import platform
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ml.bundles import bundle
from ml.dataset import data
from ml.evaluation import assess, card, figures, inputs, novelty_fit, novelty_report, robustness
from ml.inference import novelty
from ml.statistics import metrics
from ml.training.average import Average
from ml.training.judges import predict
from ml.training.recipe import Recipe
from ml.training.train import Run, patients

#: The number of files of each class and rendition that are measured under every single condition.
EACH = 60


def release(
    run: Run | Average,
    output: Path,
    *,
    name: str,
    version: str,
    samples: list[data.Sample],
    weights: Path | None,
    cost: dict[str, Any],
) -> bundle.Bundle:
    """Write the bundle of a finished training.

    Args:
        run: the training.
        output: the bundle's folder.
        name: the bundle's name.
        version: the bundle's version.
        samples: all samples that it was trained and measured on, for their fingerprint.
        weights: the weights that it started from.
        cost: the cost of the training, which is recorded unchanged.

    Returns:
        The bundle. ``run.work`` also gets ``mistakes.png``, which shows the data and is not for release.
    """
    recipe = run.recipe
    model = run.model()
    judged = Judged(model, run.held_out, recipe)
    choice = judged.choice
    meta: dict[str, Any] = {
        "name": name,
        "version": version,
        "architecture": recipe.architecture,
        "parameters": model.count_params(),
        "classes": list(data.CLASSES),
        "preprocessing": recipe.preprocessing.to_json(),
        **assess.described(choice),
        "held_out": judged.report,
        "training": {
            "recipe": recipe.to_json(),
            "initial_weights_sha256": bundle.sha256(weights) if weights else None,
            "images": len({(sample.path.name, sample.label) for sample in run.training}),
            "patients": patients(run.training),
            "external": dict(Counter(chest.source for chest in run.chests)),
            "held_out_patients": patients(run.held_out),
            "cost": cost,
            "epochs": run.epochs(),
            **({"members": members(run, judged)} if isinstance(run, Average) else {}),
        },
        "data": {"sha256": data.fingerprint(samples), "files": len(samples)},
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "numpy": np.__version__,
        },
        "created": time.strftime("%Y-%m-%d"),
    }
    written = bundle.write(output, model, meta)
    folder = output / "figures"
    title = f"{written.id}, held-out patients, half perturbed"
    figures.draw_choice(folder, judged.shown.truth, judged.probability, choice, title)
    figures.draw_epochs(folder, run.epochs(), f"{written.id}, training")
    figures.draw_mistakes(run.work / "mistakes.png", judged.shown, judged.probability, written.threshold)
    (output / "MODEL_CARD.md").write_text(card.text(written))
    return written


def members(run: Average, judged: "Judged") -> dict[str, dict[str, Any]]:
    """Describe each member, and how well its own network ranks the held-out images before averaging.

    Returns:
        For each name, the member's ``recipe`` and its ``roc_auc`` for each group of images and for all together.
    """
    shown = judged.shown
    groups = [(assess.EVERYTHING, np.ones(len(shown.truth), dtype=bool)), *shown.groups()]
    result = {}
    for name, member_run in run.runs.items():
        raw = predict(member_run.model(), shown.inputs, member_run.recipe.preprocessing.scaling)[:, 1]
        auc = {group: metrics.measure(shown.truth[mask], raw[mask], 0.5)["roc_auc"] for group, mask in groups}
        result[name] = {"recipe": member_run.recipe.to_json(), "roc_auc": auc}
    return result


def add_check(released: bundle.Bundle, run: Run | Average, directory: Path, also: Sequence[Path]) -> bundle.Bundle:
    """Add the out-of-domain check (:mod:`ml.inference.novelty`) and the description of its training X-rays
    (:mod:`ml.evaluation.inputs`) to a new bundle, unless there are too few images.

    Args:
        released: the bundle from :func:`release`.
        run: its training.
        directory: the training data.
        also: folders with other renditions.
    """
    if min(len(run.training), len(run.held_out)) < novelty_fit.FEWEST:
        print(f"fewer than {novelty_fit.FEWEST} images on a side: no check for what is no chest X-ray")
        return released
    novelty_report.report(released.path, directory, also=also, write=True)
    return inputs.write(released.path, directory, also)


class Judged:
    """Everything that is chosen and measured on held-out samples. This takes minutes on a CPU.

    Attributes:
        shown: every held-out file, as it is and with everything changed at once.
        probability: ``(n,)`` the calibrated probabilities for ``shown``.
        choice: the calibration and operating points, chosen on ``shown``.
        report: all figures, for ``bundle.json``.
    """

    def __init__(self, model: keras.Model, samples: list[data.Sample], recipe: Recipe) -> None:
        spec = recipe.preprocessing
        self.shown = robustness.validation(samples, spec, robustness.BRIEF, recipe.seed)
        raw = predict(model, self.shown.inputs, spec.scaling)[:, 1]
        self.choice = assess.choose(self.shown, raw)
        self.probability = self.choice.calibration.apply(raw)
        threshold = self.choice.points[assess.DEFAULT_POINT].threshold
        conditions = robustness.validation(samples, spec, robustness.CHANGES, recipe.seed, limit=EACH)
        conditions_probability = self.choice.calibration.apply(predict(model, conditions.inputs, spec.scaling)[:, 1])
        self.report = {
            **assess.report(self.shown, self.probability, self.choice),
            "conditions": assess.measure(
                conditions, conditions_probability, threshold,
                [(name, conditions.conditions == name) for name in robustness.CHANGES],
            ),
            "changed_labels": assess.changed_labels(conditions, conditions_probability, threshold),
        }  # fmt: skip


def recalibrate(source: bundle.Bundle, samples: list[data.Sample], output: Path, version: str) -> bundle.Bundle:
    """Write a bundle with the same network, but with the calibration and operating points chosen on other images.

    Args:
        source: the bundle.
        samples: samples of patients that the network was not trained on, ideally from where it will be used.
        output: the new bundle's folder.
        version: the version of the new bundle.
    """
    model = source.load_model()
    judged = Judged(model, samples, Recipe(architecture=source.architecture, preprocessing=source.preprocessing))
    # The figures for other hospitals depend on the old thresholds.
    meta = {key: value for key, value in source.meta.items() if key not in ("format", "weights", "elsewhere")}
    meta |= {
        "version": version,
        **assess.described(judged.choice),
        "held_out": judged.report,
        "calibrated_on": {"sha256": data.fingerprint(samples), "files": len(samples), "patients": patients(samples)},
        "calibrated_from": source.id,
        "created": time.strftime("%Y-%m-%d"),
    }
    written = novelty.copy_check(source, bundle.write(output, model, meta))
    title = f"{written.id}, {len(samples)} files, half of what is shown perturbed"
    figures.draw_choice(output / "figures", judged.shown.truth, judged.probability, judged.choice, title)
    (output / "MODEL_CARD.md").write_text(card.text(written))
    return written
