"""The figures by which recipes are compared."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.cli import main
from ml.dataset import data, external
from ml.evaluation import elsewhere, elsewhere_report
from ml.evaluation.elsewhere_report import NIH
from ml.experiments import folds, folds_figures
from ml.experiments.folds import Answers
from ml.networks import architectures
from ml.pictures.preprocess import Preprocessing
from ml.training.recipe import Recipe
from tests.ml.test_evidence import BUNDLE


def answers(scores: list[float], truth: list[int], origin: str, quality: str = "", stated: str = "") -> Answers:
    count = len(scores)
    column = np.array(scores)
    return Answers(
        origin=np.array([origin] * count), quality=np.array([quality] * count), truth=np.array(truth),
        stated=np.array([stated or ("pneumonia" if t else "normal") for t in truth]),
        condition=np.array(["plain"] * count), rendition=np.array(["large"] * count),
        patient=np.array([str(i) for i in range(count)]), name=np.array([f"{i}.jpeg" for i in range(count)]),
        score=column, inside=np.full(count, 0.8), peak_inside=np.full(count, True),
    )  # fmt: skip


def combined(*parts: Answers) -> Answers:
    return Answers(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def fold(shift: float = 0.0) -> Answers:
    """Own pneumonias score from 2 to 4 and own normals below 0. One of the block's two normals scores among the
    pneumonias. One normal of NIH scores above a pneumonia of NIH."""
    return combined(
        answers([2 + shift, 3 + shift, 4 + shift, -1 + shift, -2 + shift], [1, 1, 1, 0, 0], folds.OWN),
        answers([-3 + shift, 3.5 + shift], [0, 0], folds.BLOCK),
        answers([1 + shift, 5 + shift, 2 + shift, 0 + shift], [1, 1, 0, 0], NIH, external.EXPERT),
    )


def test_the_figures_of_one_training() -> None:
    found = folds_figures.figures([fold()])
    assert found["own, AUC"] == 1
    assert found["block, AUC"] == found["worst block, AUC"] == pytest.approx(4 / 6)
    assert found["block, specificity"] == 0.5
    assert found["NIH, experts, AUC"] == pytest.approx(3 / 4)
    assert found["own, evidence inside"] == 0.8
    assert np.isnan(found["twins, labels that differ"])


def test_other_hospitals_scores_are_relative_to_each_trainings_own_threshold() -> None:
    """A network whose outputs are all higher is not worse, and pooled with another it is not worse than each alone."""
    assert folds_figures.figures([fold(), fold(3.0)])["NIH, experts, AUC"] == pytest.approx(3 / 4)


def test_the_worst_block_is_that_of_the_worst_training() -> None:
    easy = fold()
    easy = replace(easy, score=np.where(easy.origin == folds.BLOCK, -5.0, easy.score))
    found = folds_figures.figures([fold(), easy])
    assert found["worst block, AUC"] == pytest.approx(4 / 6)
    assert found["block, AUC"] == pytest.approx((1 + 4 / 6) / 2)


def many(seed: int, shift: float) -> Answers:
    """Answers of a training whose log-odds are all too high by ``shift``, on own patients and on NIH's."""
    rng = np.random.default_rng(seed)
    parts = []
    for origin, quality in ((folds.OWN, ""), (NIH, external.EXPERT)):
        truth = np.arange(120) % 2
        scores = (4 * truth - 2 + rng.normal(0, 1.5, 120) + shift).tolist()
        parts.append(answers(scores, truth.tolist(), origin, quality))
    return combined(*parts)


def test_doubts_do_not_depend_on_a_shift_of_a_trainings_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "DRAWS", 10)
    equal, shifted = (folds_figures.doubts([many(1, 0.0), many(2, shift)]) for shift in (0.0, 5.0))
    names = {"own", NIH, f"{NIH}, read by radiologists", "other hospitals together"}
    assert set(equal["coverage"]) == names
    for name in names:
        assert set(equal["coverage"][name]) == {"probability"}
        shares = [found["coverage"][name]["probability"]["errors"] for found in (equal, shifted)]
        assert shares[0] == pytest.approx(shares[1], abs=0.02), "each training is calibrated on its own patients"
    assert equal["calibrated"][NIH]["50"]["ece"][0] < 0.15


def test_groups_are_measured_with_each_trainings_own_threshold() -> None:
    shifted = many(2, 5.0)
    chests = [
        external.Chest(data.Sample(Path(name), truth, patient), NIH, external.EXPERT, "normal", sex="F")
        for name, truth, patient, origin in zip(
            shifted.name.tolist(),
            shifted.truth.tolist(),
            shifted.patient.tolist(),
            shifted.origin.tolist(),
            strict=True,
        )
        if origin == NIH
    ]
    women = folds_figures.by_group([shifted], chests)["subgroups"][NIH]["sex"]["female"]
    stated = folds_figures.figures([shifted])
    point = women["points"]["own threshold"]
    assert point["recall"][0] == stated["NIH, experts, sensitivity at own threshold"]
    assert point["specificity"][0] == stated["NIH, experts, specificity at own threshold"]
    assert women["roc_auc"][0] == pytest.approx(stated["NIH, experts, AUC"])
    with pytest.raises(ValueError, match="the index lacks 119 of the chests"):
        folds_figures.by_group([shifted], chests[:1])


def test_a_networks_answers_are_saved_and_loaded(xrays: Path, tmp_path: Path) -> None:
    samples = data.scan(xrays)
    recipe = Recipe(preprocessing=Preprocessing(size=64), held_out=0.5, seed=1)
    held_out = data.hold_out(samples, "blocks", 0.5, 1)[1]
    chests = [external.Chest(samples[0], "nih", external.EXPERT, "normal")]
    keras.utils.set_random_seed(1)
    found = folds.measure(architectures.build("cnn", 64), held_out, samples, chests, recipe, tmp_path)
    assert len(found.score) == 2 * len(held_out) + 1
    blocked = set(found.patient[found.origin == folds.BLOCK].tolist())
    assert blocked == data.block(samples[:6], 0.5, 1) - {s.patient for s in data.split(samples, 0.5, 1)[1]}
    loaded = folds.load(tmp_path)
    assert all(np.array_equal(getattr(loaded, name), value) for name, value in vars(found).items())


def test_a_bundle_that_learnt_from_other_hospitals_gets_figures_of_trainings_that_did_not(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("bundle.json", "MODEL_CARD.md"):
        shutil.copy(BUNDLE.path / name, model)
    meta = json.loads((model / "bundle.json").read_text())
    meta["training"]["external"] = {"nih": 3}
    (model / "bundle.json").write_text(json.dumps(meta))
    np.savez_compressed(tmp_path / folds.FILE, **vars(fold()))
    main(["folds", "--model", str(model), str(tmp_path), str(tmp_path)])
    written = Bundle.read(model).meta["folds"]
    known = {name: value for name, value in folds_figures.figures([fold(), fold()]).items() if not np.isnan(value)}
    assert (written["trainings"], written["figures"]) == (2, pytest.approx(known))
    card = (model / "MODEL_CARD.md").read_text()
    assert {"nih_chestxray14", "other hospitals together"} <= set(written["coverage"])
    assert f"| NIH, experts, AUC | {written['figures']['NIH, experts, AUC']:.3f} |" in card
    with pytest.raises(ValueError, match="has learnt from other hospitals' chests"):
        elsewhere_report.report(model, tmp_path, tmp_path)
