"""Recipes are read strictly: a misspelt key is an error."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.dataset import data, external, extra
from ml.experiments import cost
from ml.experiments.cost import Cost
from ml.training import recipe
from ml.training.recipe import Recipe, Stage
from ml.training.sequences import TrainingImages
from tests import synthetic


@pytest.mark.parametrize("name", recipe.names())
def test_the_projects_recipes_can_be_read(name: str) -> None:
    loaded = recipe.load(name)
    assert loaded.name == name
    assert all(recipe.load(member).preprocessing == loaded.preprocessing for member in loaded.members)
    assert bool(loaded.epochs) != bool(loaded.members)
    assert loaded.preprocessing.size >= 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bathc = 16\n[[stage]]\nepochs = 1", "bathc"),
        ("[[stage]]\nepochs = 1\nsizes = 3", "sizes"),
        ("[[stage]]\nsize = 64", "epochs"),
        ("[[stage]]\nepochs = 1\n[augmentation]\nspin = 3", "spin"),
        ("optimizer = 'sdg'\n[[stage]]\nepochs = 1", "sdg"),
        ("batch = 16", "no stage"),
        ("batch = ", "small.toml"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "small.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        recipe.load(str(tmp_path / "small.toml"))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=recipe.DEFAULT):
        recipe.load("magic")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> list[data.Sample]:
    folder = tmp_path_factory.mktemp("uneven")
    created = []
    for number in range(12):
        label = int(number >= 3)
        path = folder / f"{number}.jpeg"
        path.write_bytes(synthetic.xray_jpeg(number, (80, 80)))
        created.append(data.Sample(path, label, str(number)))
    return created


def test_sampling_shows_both_classes_equally_and_repeats_normals(uneven: list[data.Sample]) -> None:
    images = TrainingImages(uneven, Recipe(balance="sampling", repeat=2, batch=4))
    shown = images.labels[images.order]
    assert np.bincount(shown).tolist() == [6, 6]
    assert np.bincount(images.order, minlength=12)[:3].tolist() == [2, 2, 2]
    assert images.weights.tolist() == [1.0] * 12
    first = images.order.copy()
    images.on_epoch_end()
    assert (images.order != first).any()
    images.start_at(0)
    np.testing.assert_array_equal(images.order, first)


def test_weights_show_every_image_once_and_raise_the_rarer_class(uneven: list[data.Sample]) -> None:
    images = TrainingImages(uneven, Recipe(balance="weights", batch=5))
    assert sorted(images.order) == list(range(12))
    assert images.weights.tolist() == pytest.approx([2.0] * 3 + [2 / 3] * 9)
    assert [len(images[i][1]) for i in range(len(images))] == [5, 5]


def test_fewer_images_than_a_batch_are_one_batch(uneven: list[data.Sample]) -> None:
    images = TrainingImages(uneven, Recipe(balance="weights", batch=20))
    assert [len(images[i][1]) for i in range(len(images))] == [12]


def test_an_image_that_is_shown_twice_is_augmented_twice(uneven: list[data.Sample]) -> None:
    images = TrainingImages(uneven, Recipe(balance="sampling", repeat=2, batch=12))
    tensors, targets = images[0]
    assert targets[:, :2].sum(axis=1).tolist() == [1.0] * 12
    item = images.order[images.labels[images.order] == 0][0]
    one, other = tensors[images.order == item].astype(float)
    assert np.abs(one - other).mean() > 1
    images.size = 64
    assert images[0][0].shape == (12, 64, 64)


def test_other_hospitals_chests_have_their_share_of_an_epoch(uneven: list[data.Sample]) -> None:
    def chest(number: int, label: int, quality: str) -> external.Chest:
        return external.Chest(replace(uneven[number], label=label, patient=f"nih:{number}"), "nih", quality, "")

    chests = [chest(0, 0, external.EXPERT), chest(1, 0, external.FROM_REPORTS), chest(2, external.UNKNOWN, "")]
    own = len(TrainingImages(uneven, Recipe(balance="sampling", repeat=2), chests).order)
    mixed = TrainingImages(uneven, Recipe(balance="sampling", repeat=2, external=0.5), chests)
    assert (own, len(mixed.order)) == (12, 24)
    # Without a second view, images without a label teach nothing. Experts' labels are shown twice as often.
    assert mixed.chances.tolist() == pytest.approx([2 / 3, 1 / 3])
    agreeing = TrainingImages(uneven, Recipe(balance="sampling", repeat=2, external=0.5, consistency=0.1), chests)
    assert agreeing.order[::2].tolist() == agreeing.order[1::2].tolist()
    assert agreeing.weights[-1] == 0
    assert len(agreeing.order) == 48


def test_renditions_of_one_image_are_one_item(uneven: list[data.Sample], tmp_path: Path) -> None:
    larger = tmp_path / "0.jpeg"
    larger.write_bytes(synthetic.xray_jpeg(0, (160, 160)))
    images = TrainingImages([*uneven, data.Sample(larger, 0, "0")], Recipe(stages=(Stage(1),)))
    assert sorted(len(group) for group in images.groups) == [1] * 11 + [2]


def export(folder: Path, *rows: str, header: str = "file,verdict,patient") -> Path:
    for name in "abc":
        (folder / f"{name}.jpeg").write_bytes(synthetic.xray_jpeg(1, (80, 80)))
    table = folder / "reviews.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


def test_reviews_become_samples(tmp_path: Path) -> None:
    found = extra.read(export(tmp_path, "a.jpeg,PNEUMONIA,p1", "b.jpeg,normal,p1", "c.jpeg,UNSURE,p2"))
    assert [(s.path.name, s.label, s.patient) for s in found] == [
        ("a.jpeg", 1, "review:p1"), ("b.jpeg", 0, "review:p1"),
    ]  # fmt: skip


def test_reviews_that_cannot_be_used_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks the columns verdict"):
        extra.read(export(tmp_path, "a.jpeg,p1", header="file,patient"))
    with pytest.raises(FileNotFoundError, match=r"z\.jpeg"):
        extra.read(export(tmp_path, "z.jpeg,NORMAL,p1"))
    with pytest.raises(ValueError, match="two different verdicts"):
        extra.read(export(tmp_path, "a.jpeg,NORMAL,p1", "a.jpeg,PNEUMONIA,p1"))


@pytest.mark.long
def test_cost_counts_time_and_processor_time() -> None:
    spent = Cost()
    sum(i * i for i in range(10_000_000))
    figures = spent.so_far()
    assert figures["processor_seconds"] <= figures["seconds"] + 1
    assert figures["machine"]


def test_energy_is_the_increase_of_the_counters_or_none_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "COUNTERS", tmp_path)
    assert Cost().so_far()["kilojoules"] is None
    for package in (0, 1):
        (tmp_path / f"intel-rapl:{package}").mkdir()
        (tmp_path / f"intel-rapl:{package}" / "energy_uj").write_text("5000000")
    measured = Cost()
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("2505000000")
    assert measured.so_far()["kilojoules"] == 2.5
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("7")  # it has wrapped around
    assert measured.so_far()["kilojoules"] is None


def test_the_cost_of_an_interrupted_run_is_included(tmp_path: Path) -> None:
    file = tmp_path / "cost.json"
    file.write_text('{"seconds": 100, "processor_seconds": 150, "kilojoules": null, "machine": "another"}')
    figures = Cost(file).keep()
    assert 100 <= figures["seconds"] < 110
    assert 150 <= figures["processor_seconds"] < 160
    assert figures["kilojoules"] is None
    assert json.loads(file.read_text()) == figures
