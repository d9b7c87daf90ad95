"""Several trainings averaged into one network."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from ml import cli
from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.training import recipe
from ml.training.average import Average, training
from ml.training.sequences import TrainingImages
from ml.training.train import Run

MEMBER = """
architecture = "vgg16"
batch = 4
precision = "float32"
label_smoothing = {smoothing}
{more}
[[stage]]
epochs = 1
size = 64
freeze = 3
[preprocessing]
size = 64
blur = {blur}
"""
AVERAGE = """
members = {members}
architecture = "vgg16"
precision = "float32"
seed = 5
held_out = 0.5
[preprocessing]
size = 64
blur = 0.0
"""


@pytest.fixture
def member(tmp_path: Path) -> Path:
    file = tmp_path / "member.toml"
    file.write_text(MEMBER.format(smoothing=0.0, blur=0.0, more="held_out = 0.2\nseed = 9"))
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to start from, in place of a user's ImageNet weights."""
    keras.utils.set_random_seed(3)
    file = tmp_path_factory.mktemp("base") / "base.weights.h5"
    keras.applications.VGG16(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(file)
    return file


def average_recipe(folder: Path, *members: object) -> recipe.Recipe:
    file = folder / "whole.toml"
    file.write_text(AVERAGE.format(members=json.dumps([str(each) for each in members])))
    return recipe.load(str(file))


def test_members_share_the_settings_of_the_average(member: Path, tmp_path: Path, xrays: Path) -> None:
    average = training(average_recipe(tmp_path, member, f"{member}:6"), tmp_path / "work", data.scan(xrays))
    assert isinstance(average, Average)
    assert list(average.runs) == ["member:5", "member:6"]
    first, second = average.runs.values()
    assert (first.recipe.seed, second.recipe.seed) == (5, 6)
    assert first.recipe.held_out == second.recipe.held_out == 0.5
    # Another seed changes order and augmentation; the held-out patients stay the same.
    assert first.held_out == second.held_out == average.held_out
    assert first.training == second.training == average.training
    assert first.work != second.work


@pytest.mark.long
def test_members_start_from_the_same_weights_and_see_the_images_differently(
    member: Path, base: Path, tmp_path: Path, xrays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def stage(run: Run, model: keras.Model, _stage: object, images: TrainingImages, *_: object, **__: object) -> bool:
        seen.append((model.get_weights(), images.order.tolist()))
        return True

    monkeypatch.setattr(Run, "_fit_stage", stage)
    training(average_recipe(tmp_path, member, f"{member}:6"), tmp_path / "work", data.scan(xrays)).fit(base)
    (one, order), (other, other_order) = seen
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert order != other_order


def test_a_recipe_with_stages_is_one_training(member: Path, tmp_path: Path, xrays: Path) -> None:
    assert isinstance(training(recipe.load(str(member)), tmp_path / "work", data.scan(xrays)), Run)


@pytest.mark.training
def test_train_averages_members_and_records_them(
    member: Path, base: Path, tmp_path: Path, xrays: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    average_recipe(tmp_path, member, f"{member}:6")
    arguments = ["train", "--recipe", str(tmp_path / "whole.toml"), "--data", str(xrays), "--weights", str(base),
                 "--output", str(tmp_path / "bundle"), "--work", str(tmp_path / "work")]  # fmt: skip
    assert cli.main(arguments) == 0
    released = Bundle.read(tmp_path / "bundle")
    record = released.meta["training"]
    assert [row["member"] for row in record["epochs"]] == ["member:5", "member:6"]
    assert record["members"]["member:6"]["recipe"]["seed"] == 6
    assert all(0 <= each["roc_auc"]["all of these together"] <= 1 for each in record["members"].values())
    card = (released.path / "MODEL_CARD.md").read_text()
    assert "| member:6, 1 | 64 |" in card
    assert "the mean of their weights is released" in card

    average = training(recipe.load(str(tmp_path / "whole.toml")), tmp_path / "work", data.scan(xrays))
    assert isinstance(average, Average)
    one, other = (run.model() for run in average.runs.values())
    pairs = list(zip(one.get_weights(), other.get_weights(), strict=True))
    assert any((a != b).any() for a, b in pairs)
    for mean, (a, b) in zip(released.load_model().get_weights(), pairs, strict=True):
        np.testing.assert_allclose(mean, (a + b) / 2, atol=1e-3)

    # Finished members are not trained again.
    capsys.readouterr()
    average.fit(base)
    assert "Epoch" not in capsys.readouterr().out


def test_averaging_without_initial_weights_is_refused(member: Path, tmp_path: Path, xrays: Path) -> None:
    average = training(average_recipe(tmp_path, member, f"{member}:6"), tmp_path / "work", data.scan(xrays))
    with pytest.raises(ValueError, match="give --weights"):
        average.fit(None)


@pytest.mark.long
def test_members_that_cannot_be_averaged_are_refused(member: Path, tmp_path: Path, xrays: Path) -> None:
    samples = data.scan(xrays)
    blurred = tmp_path / "blurred.toml"
    blurred.write_text(MEMBER.format(smoothing=0.0, blur=1.0, more=""))
    nested = tmp_path / "nested.toml"
    nested.write_text(AVERAGE.format(members=json.dumps([f"{member}:1", f"{member}:2"])))
    for members, message in (
        ([member], "two members or more"),
        ([member, f"{member}:5"], "all different"),
        ([member, blurred], "another preprocessing"),
        ([member, nested], "consists of others itself"),
        ([member, f"{member}:x"], "no number"),
        ([member, "magic"], "unknown recipe 'magic'"),
    ):
        with pytest.raises(ValueError, match=message):
            training(average_recipe(tmp_path, *members), tmp_path / "work", samples)


@pytest.mark.long
def test_networks_with_batch_normalisation_are_refused(tmp_path: Path, xrays: Path) -> None:
    file = tmp_path / "resnet.toml"
    text = MEMBER.format(smoothing=0.0, blur=0.0, more="").replace("vgg16", "resnet50")
    file.write_text(text)
    other = tmp_path / "whole.toml"
    other.write_text(AVERAGE.format(members=json.dumps([f"{file}:1", f"{file}:2"])).replace("vgg16", "resnet50"))
    with pytest.raises(ValueError, match="batch normalisation"):
        training(recipe.load(str(other)), tmp_path / "work", data.scan(xrays))


def test_a_recipe_with_both_stages_and_members_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "both.toml"
    file.write_text(MEMBER.format(smoothing=0.0, blur=0.0, more='members = ["a", "b"]'))
    with pytest.raises(ValueError, match="both stages and members"):
        recipe.load(str(file))
