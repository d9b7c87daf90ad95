"""`python -m ml compare`, called as users call it."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import cli
from ml.bundles import bundle
from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.experiments.trial import Trial

#: The report's small network on tiny data: half of the patients held out.
RECIPE = """
architecture = "cnn"
batch = 12
optimizer = "adam"
schedule = "constant"
balance = "none"
judge = "plain"
held_out = 0.5
seed = {seed}
precision = "float32"
[[stage]]
epochs = 3
size = 64
learning_rate = 1e-3
[preprocessing]
size = 64
scaling = "unit"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE.format(seed=5))
    return file


def compared(tmp_path: Path, xrays: Path, *arguments: object, status: int = 0) -> dict[str, Any]:
    """Run the command and return the JSON that it wrote."""
    out = tmp_path / "out.json"
    code = cli.main(["compare", "--data", str(xrays), "--seconds", "0.01", "--json", str(out), *map(str, arguments)])
    assert code == status
    return json.loads(out.read_text()) if status == 0 else {}


@pytest.mark.training
def test_a_bundle_and_its_copy_compare_as_equal(
    random_bundle: Bundle, xrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(random_bundle.path, tmp_path / "copy")
    out = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "png")}
    report = compared(tmp_path, xrays, random_bundle.path, copy, "--csv", out["csv"], "--markdown", out["md"],
                      "--figure", out["png"])  # fmt: skip
    assert [row["name"] for row in report["models"]] == [str(random_bundle.path), str(copy)]
    assert report["data"]["files"] == report["data"]["patients"] == 12
    (pair,) = report["pairs"]
    assert pair["better"] is None
    assert all(d["value"] == 0 for d in pair["differences"].values())
    assert pair["mcnemar"]["p"] == 1

    text = out["md"].read_text()
    assert text in capsys.readouterr().out
    assert "**The data do not show which of" in text
    with out["csv"].open() as file:
        rows = list(csv.DictReader(file))
    for row, model in zip(rows, report["models"], strict=True):
        assert float(row["accuracy"]) == model["metrics"]["accuracy"]
        assert [float(row["roc_auc_low"]), float(row["roc_auc_high"])] == model["intervals"]["roc_auc"]
        assert float(row["images_per_second"]) > 0
        assert f"| {model['metrics']['specificity']:.4f} " in text
    assert out["png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.training
def test_a_recipe_is_trained_and_measured_on_patients_that_it_held_out(
    random_bundle: Bundle, recipe: Path, xrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    arguments = (random_bundle.path, recipe, "--work", work)
    report = compared(tmp_path, xrays, *arguments)
    held = data.split(data.scan(xrays), 0.5, 5)[1]
    assert report["data"]["sha256"] == data.fingerprint(held)
    assert 0 < report["data"]["files"] == len(held) < 12
    first, second = report["models"]
    assert (first["origin"], second["origin"]) == ("bundle", "3 of 3 epochs, from scratch")
    assert (second["name"], second["parameters"], second["threshold"]) == ("tiny", 813_217, 0.5)
    assert any("random-0.0.1 does not say which patients" in note for note in report["notes"])
    output = capsys.readouterr().out
    assert f"Measured on {len(held)} files of {len(held)} patients, whom each of these held out: tiny (50%" in output
    assert "training on" in output

    again = compared(tmp_path, xrays, *arguments)
    assert "training on" not in capsys.readouterr().out, "a finished training is not repeated"
    assert again["models"][1]["metrics"] == second["metrics"]

    (xrays_less := tmp_path / "less").mkdir()
    for label in data.CLASSES:
        shutil.copytree(xrays / label, xrays_less / label)
    next((xrays_less / "NORMAL").glob("*.jpeg")).unlink()
    compared(tmp_path, xrays_less, *arguments, status=2)
    assert "another recipe, other data or other weights" in capsys.readouterr().err


@pytest.mark.training
def test_a_shortened_training_is_labelled_as_such_and_resumes(
    recipe: Path, xrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (recipe, "--work", tmp_path / "work", "--epochs", 2, "--limit", 5)
    from ml.training import train

    append = train._append

    def append_then_interrupt(log: Path, row: dict[str, Any]) -> None:
        append(log, row)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_append", append_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        compared(tmp_path, xrays, *arguments)
    monkeypatch.undo()
    report = compared(tmp_path, xrays, *arguments)
    (row,) = report["models"]
    assert row["name"] == "tiny-epochs2-limit5"
    assert row["origin"] == "2 of 3 epochs, from scratch, 5 files of each class"
    with (tmp_path / "work" / row["name"] / "epochs.csv").open() as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["0", "1"]
    assert report["data"]["limit"] == 5
    assert report["pairs"] == []


@pytest.mark.long
def test_an_untrained_network_has_a_size_and_a_speed_and_no_figures(
    random_bundle: Bundle, recipe: Path, xrays: Path, tmp_path: Path
) -> None:
    out = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "png")}
    report = compared(tmp_path, xrays, recipe, random_bundle.path, "--work", tmp_path / "work", "--epochs", 0,
                      "--csv", out["csv"], "--markdown", out["md"], "--figure", out["png"])  # fmt: skip
    row = report["models"][0]
    assert (row["name"], row["origin"]) == ("tiny-epochs0", "untrained, from scratch")
    assert row["metrics"] is None
    assert row["parameters"] == 813_217
    assert row["images_per_second"] > 0
    assert report["pairs"] == []
    with out["csv"].open() as file:
        assert [bool(line["f1"]) for line in csv.DictReader(file)] == [False, True]
    assert "| –        |" in out["md"].read_text()
    assert out["png"].exists()
    compared(tmp_path, xrays, recipe, "--work", tmp_path / "work", "--epochs", 0, "--markdown", out["md"])
    assert "Nothing was read" in out["md"].read_text()


def test_weights_are_loaded_into_their_network(recipe: Path, xrays: Path, tmp_path: Path, built: Any) -> None:
    model = built("cnn", 64)
    model.save_weights(tmp_path / "mine.weights.h5")
    run, origin = Trial.load(str(recipe), epochs=0).run(tmp_path / "w", data.scan(xrays), tmp_path / "mine.weights.h5")
    assert origin == "untrained, from mine.weights.h5"
    for expected, loaded in zip(model.get_weights(), run.load_model().get_weights(), strict=True):
        np.testing.assert_allclose(expected, loaded, rtol=1e-3, atol=1e-7)


def with_meta(source: Bundle, path: Path, **meta: Any) -> Bundle:
    """Write a bundle of the same network with more metadata."""
    old = {key: value for key, value in source.meta.items() if key not in ("format", "weights")}
    return bundle.write(path, source.load_model(), {**old, **meta})


@pytest.mark.training
def test_bundles_can_be_measured_on_the_patients_they_held_out(
    random_bundle: Bundle, xrays: Path, tmp_path: Path
) -> None:
    samples = data.scan(xrays)
    one = with_meta(random_bundle, tmp_path / "one", name="one", training={"recipe": {"held_out": 0.8, "seed": 5}},
                   data={"sha256": data.fingerprint(samples)})  # fmt: skip
    report = compared(tmp_path, xrays, one.path)
    assert report["data"]["files"] == 12
    assert "was trained on some of these files" in report["notes"][0]
    report = compared(tmp_path, xrays, one.path, "--held-out")
    assert report["data"]["sha256"] == data.fingerprint(data.split(samples, 0.8, 5, "number")[1])
    assert report["data"]["files"] < 12


def test_invalid_comparisons_are_refused_before_any_training(
    random_bundle: Bundle, recipe: Path, xrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.format(seed=5).replace('"cnn"', '"vgg99"'))
    broken = tmp_path / "broken.toml"
    broken.write_text("batch =")
    apart = tmp_path / "apart.toml"
    apart.write_text(RECIPE.format(seed=6).replace("held_out = 0.5", "held_out = 0.05"))
    weights, work = tmp_path / "w.h5", ("--work", tmp_path / "work")
    weights.touch()
    for arguments, reason in (
        (["vgg-17"], "neither a bundle's folder nor a recipe; recipes: averaged-vgg16,"),
        ([tmp_path], "is no model bundle"),
        ([recipe], "give --work"),
        ([recipe, recipe, *work], "given twice"),
        ([other, *work], "unknown architecture 'vgg99'"),
        ([broken, *work], "broken.toml"),
        ([recipe, apart, *work], "no held-out patients of both classes in common"),
        ([recipe, *work, "--weights", f"vgg16={weights}"], "which no recipe here trains"),
        ([recipe, *work, "--weights", f"vgg99={weights}"], "unknown architecture"),
        ([recipe, *work, "--weights", "cnn=missing.h5"], "there are no weights at missing.h5"),
    ):
        compared(tmp_path, xrays, *arguments, status=2)
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("argument", [["--weights", "cnn"], ["--epochs", "-1"], ["--limit", "few"]])
def test_a_mistyped_option_is_refused(argument: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["compare", "--data", "x", *argument, "report-cnn"])
    assert f"argument {argument[0]}" in capsys.readouterr().err
