"""Each of the report's recipes has the report's settings, can be trained, and is evaluated as in the report."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ml.dataset import data
from ml.networks import architectures
from ml.pictures.augment import Strength
from ml.training import recipe
from ml.training.judges import PlainJudge
from ml.training.recipe import Recipe
from ml.training.train import Run, trainable

NAMES = ["report-vgg16", "report-resnet50", "report-cnn", "inceptionv3", "densenet121"]
UNCHANGED = {**dict.fromkeys(Strength.__dataclass_fields__, 0), "share": 1.0}


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Run TensorFlow eagerly: tracing takes minutes for the deepest networks and pays off after thousands of steps."""
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


def test_each_recipe_names_a_known_network() -> None:
    assert set(recipe.names()) >= set(NAMES)
    for name in recipe.names():
        architectures.check(recipe.load(name).architecture)


@pytest.mark.parametrize(("name", "architecture"), [("report-vgg16", "vgg16"), ("report-resnet50", "resnet50")])
def test_the_reports_large_networks_are_trained_as_the_report_says(name: str, architecture: str) -> None:
    loaded = recipe.load(name)
    assert loaded.architecture == architecture
    assert (loaded.optimizer, loaded.momentum, loaded.schedule) == ("sgd", 0.9, "constant")
    assert [(s.learning_rate, s.epochs, s.freeze, s.size) for s in loaded.stages] == [(1e-4, 16, 0, 224)]
    assert (loaded.batch, loaded.held_out, loaded.judge) == (16, 0.15, "plain")
    assert (loaded.balance, loaded.label_smoothing, loaded.dropout, loaded.average) == ("none", 0, 0, 0)
    assert loaded.preprocessing.scaling == "unit"
    assert loaded.augmentation == Strength(**{**UNCHANGED, "shear": 0.2, "zoom": 0.2, "flip": 0.5})


def test_the_reports_cnn_is_trained_as_the_report_says() -> None:
    loaded = recipe.load("report-cnn")
    assert (loaded.architecture, loaded.optimizer, loaded.batch, loaded.epochs) == ("cnn", "adam", 32, 10)
    assert (loaded.judge, loaded.keep, loaded.held_out) == ("plain", "best", 0.15)
    assert loaded.patience > 0
    assert loaded.preprocessing.size == loaded.stages[0].size == 64
    assert loaded.augmentation == Strength(**UNCHANGED)


def small(name: str, **changes: Any) -> Recipe:
    """The recipe with tiny images, one epoch of one step, and half of the patients held out."""
    loaded = recipe.load(name)
    size = {"inceptionv3": 75}.get(loaded.architecture, 64)
    stage = replace(loaded.stages[0], epochs=1, size=size)
    tiny = replace(loaded, batch=12, held_out=0.5, seed=5, stages=(stage,),
                   preprocessing=replace(loaded.preprocessing, size=size))  # fmt: skip
    return replace(tiny, **changes)


@pytest.mark.training
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", NAMES)
def test_each_recipe_trains(
    name: str, xrays: Path, tmp_path: Path, built: Callable[..., keras.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "build", built)
    loaded = small(name)
    before = built(loaded.architecture, loaded.preprocessing.size).get_weights()
    run = Run(loaded, tmp_path, data.scan(xrays))
    run.fit()
    (row,) = run.epochs()
    assert row["val_loss"] == row["val_worst"] > 0
    assert all(0 <= row[f"val_{figure}"] <= 1 for figure in ("precision", "recall", "f1", "f_beta"))
    model = run.model()
    outputs = np.asarray(model(np.zeros((2, *model.input_shape[1:]), "float32")))
    assert outputs.shape == (2, 2)
    assert np.isfinite(outputs).all()
    # The saved network has what was learnt: the head's biases, and the statistics of batch normalisation.
    moved = {
        variable.path: np.abs(old - new).max() > 0
        for variable, old, new in zip(model.weights, before, model.get_weights(), strict=True)
        if variable.path.endswith(("moving_mean", "moving_variance", "bias"))
    }
    assert moved["hidden/bias"]
    assert np.mean([changed for path, changed in moved.items() if "moving_" in path] or [True]) > 0.9


def test_dropout_is_that_of_the_recipe() -> None:
    layer = trainable(small("report-vgg16", dropout=0.25)).get_layer("dropout")
    values = np.ones((1, 20_000), "float32")
    assert np.mean(np.asarray(layer(values, training=True)) == 0) == pytest.approx(0.25, abs=0.02)
    assert Recipe().dropout == 0.3


def test_the_plain_judge_weighs_every_image_the_same(xrays: Path) -> None:
    samples = data.scan(xrays)
    samples = samples[:2] + samples[6:]  # two normal and six pneumonia
    judge = PlainJudge(samples, small("report-cnn"))
    keras.utils.set_random_seed(2)
    losses = judge.losses(architectures.build("cnn", 64))
    of_truth = np.where(judge.shown.truth == 1, judge.probability, 1 - judge.probability)
    assert len(of_truth) == 8
    assert losses["val_loss"] == pytest.approx(-np.log(of_truth).mean(), rel=1e-4)
    figures = judge.figures()
    positive = judge.probability >= 0.5
    assert figures["val_recall"] == pytest.approx((positive & (judge.shown.truth == 1)).sum() / 6)


@pytest.mark.training
def test_figures_are_logged_when_the_loss_improves_and_training_stops_when_it_does_not(
    xrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.7, 0.4, 0.6, 0.5, 0.3])

    def planted(judge: PlainJudge, model: keras.Model) -> dict[str, float]:
        judge.probability = np.where(judge.shown.truth == 1, 0.9, 0.1)
        loss = next(losses)
        return {"val_loss": loss, "val_worst": loss}

    monkeypatch.setattr(PlainJudge, "losses", planted)
    loaded = small("report-cnn", patience=2)
    stages = (replace(loaded.stages[0], epochs=2), replace(loaded.stages[0], epochs=8))
    run = Run(replace(loaded, stages=stages), tmp_path, data.scan(xrays))
    run.fit()
    rows = run.epochs()
    assert [row["val_loss"] for row in rows] == [0.5, 0.7, 0.4, 0.6, 0.5], "both stages are judged"
    assert [row["val_f1"] for row in rows] == [1, None, 1, None, None]
    assert [row["val_f_beta"] is None for row in rows] == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('judge = "kind"\n[[stage]]\nepochs = 1', "judge is 'kind', not one of"),
        ('[[stage]]\nepochs = 1\n[preprocessing]\nsharpen = 1', "sharpen"),
        ('[[stage]]\nepochs = 1\n[preprocessing]\nscaling = "none"', "unknown scaling"),
    ],
)  # fmt: skip
def test_a_bad_recipe_is_refused_with_its_reason(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=reason):
        recipe.load(str(file))
