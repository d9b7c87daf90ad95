"""`python -m ml`, called as users call it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml import cli
from ml.bundles.bundle import Bundle
from ml.inference import engines
from ml.inference.predict import load_input
from tests import synthetic


@pytest.mark.long
def test_an_engine_answers_a_batch_like_single_images(random_bundle: Bundle) -> None:
    engine = engines.load(random_bundle.path)
    engine.warm_up(4)
    batch = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    together = engine.predict(batch)
    assert together.shape == (5, 2)
    alone = np.concatenate([engine.predict(batch[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len({round(float(value), 6) for value in together[:, 1]}) == 5


@pytest.mark.long
def test_evaluate_writes_the_contracts_json_and_figures(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    status = cli.main(["evaluate", "--model", str(random_bundle.path), "--data", str(xrays),
                       "--json", str(tmp_path / "report.json"), "--figures", str(tmp_path / "figures")])  # fmt: skip
    assert status == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["threshold"] == 0.5
    assert {"accuracy", "precision", "recall", "specificity", "f1", "f_beta", "roc_auc", "pr_auc"} <= set(
        report["metrics"]
    )
    assert report["intervals"].keys() == {"accuracy", "precision", "recall", "specificity", "f1", "roc_auc"}
    low, high = report["intervals"]["roc_auc"]
    assert low <= report["metrics"]["roc_auc"] <= high
    (tn, fp), (fn, tp) = report["confusion_matrix"]
    assert tn + fp == fn + tp == 6
    assert report["metrics"]["accuracy"] == pytest.approx((tn + tp) / 12)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "confusion_matrix.png", "roc.png", "precision_recall.png", "scores.png",
    }  # fmt: skip


@pytest.mark.long
def test_predict_reads_valid_files_and_reports_others(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    good = xrays / "NORMAL" / "IM-0000-0001.jpeg"
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(synthetic.text())
    missing = tmp_path / "missing.jpg"
    out = tmp_path / "out.json"
    status = cli.main(["predict", "--model", str(random_bundle.path), "--json", str(out),
                       str(bad), str(good), str(missing)])  # fmt: skip
    assert status == 1
    rows = json.loads(out.read_text())
    assert [row["file"] for row in rows] == [str(bad), str(good), str(missing)]
    assert [row.get("error", {}).get("code") for row in rows] == ["not_an_image", None, "file_unreadable"]
    pixels = load_input(good, random_bundle.preprocessing)
    expected = engines.load(random_bundle.path).predict(pixels[np.newaxis])[0, 1]
    assert rows[1]["probability"] == pytest.approx(float(expected), abs=1e-5)
    assert rows[1]["label"] == random_bundle.label(float(expected))
    # A random network may find evidence anywhere.
    assert {warning["code"] for warning in rows[1]["warnings"]} <= {"evidence_outside_lungs"}


def test_a_missing_bundle_gives_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "--model", str(tmp_path), "x.jpg"]) == 2
    assert "is no model bundle" in capsys.readouterr().err


@pytest.mark.long
def test_benchmark_measures_engines_side_by_side_and_compares_their_answers(
    random_bundle: Bundle, xrays: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    assert cli.main(["benchmark", "--model", str(random_bundle.path), "--engine", "keras", "mnn", "--batch", "1", "3",
                     "--seconds", "0.2", "--files", str(xrays), "--json", str(out)]) == 0  # fmt: skip
    report = json.loads(out.read_text())
    for figures in (report["images_per_second"], report["with_maps_and_warnings"]):
        assert set(figures) == {"keras", "mnn"}
        for rates in figures.values():
            assert set(rates) == {"1", "3"}
            assert all(rate > 0 for rate in rates.values())
    assert report["from_files"] > 0
    assert report["processor"]
    first, second = report["agreement"]["keras"], report["agreement"]["mnn"]
    assert first["images"] == second["images"] == 12
    assert second["roc_auc"] == pytest.approx(first["roc_auc"])
    assert second["labels_changed"] == second["warnings_changed"] == 0
    assert 0 <= second["mean_difference"] <= second["largest_difference"] < 1e-3
    assert second["least_map_correlation"] > 0.98


RECIPE = """
architecture = "vgg16"
batch = 4
precision = "float32"
seed = 5
held_out = 0.5
average = 0.9
balance = "sampling"
repeat = 1
{stages}
[preprocessing]
size = 64
"""
STAGE = "[[stage]]\nepochs = 1\nsize = {size}\nfreeze = {freeze}\n"


@pytest.mark.training
def test_train_writes_a_bundle_and_resumes(xrays: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    arguments = ["train", "--recipe", str(recipe), "--data", str(xrays), "--output", str(tmp_path / "bundle"),
                 "--work", str(tmp_path / "work")]  # fmt: skip
    recipe.write_text(RECIPE.format(stages=STAGE.format(size=64, freeze=2)))
    assert cli.main(arguments) == 0
    first = Bundle.read(tmp_path / "bundle")
    assert first.meta["parameters"] == 14_978_370
    assert len(first.meta["training"]["epochs"]) == 1
    everything = first.meta["held_out"]["groups"]["all of these together"]
    assert everything["n"] == 2 * 12 - 2 * first.meta["training"]["images"]
    low, high = everything["intervals"]["roc_auc"]
    assert low <= everything["roc_auc"] <= high
    assert first.threshold == first.thresholds["balanced"] >= first.thresholds["screening"]
    assert first.calibration.method == "platt"
    assert {"roc.png", "reliability.png", "training.png"} <= {f.name for f in (first.path / "figures").iterdir()}
    assert (tmp_path / "work" / "mistakes.png").exists()
    card = (first.path / "MODEL_CARD.md").read_text()
    assert f"{everything['accuracy']:.3f} (" in card
    assert json.loads((first.path / "bundle.json").read_text(), parse_constant=pytest.fail)

    log = tmp_path / "work" / "epochs.csv"
    rows = list(csv.DictReader(log.open()))
    rows[0]["val_worst"] = "0.0"  # which no epoch can beat
    with log.open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    shutil.rmtree(first.path)
    recipe.write_text(RECIPE.format(stages=STAGE.format(size=64, freeze=2) + STAGE.format(size=64, freeze=0)))
    assert cli.main(arguments) == 0
    second = Bundle.read(tmp_path / "bundle")
    assert [row["epoch"] for row in second.meta["training"]["epochs"]] == [0, 1]
    assert second.weights_sha256 == first.weights_sha256, "the best epoch came before the interruption"


@pytest.mark.training
def test_training_starts_with_small_images_and_ends_with_the_serving_size(xrays: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "growing.toml"
    recipe.write_text(RECIPE.format(stages=STAGE.format(size=32, freeze=4) + STAGE.format(size=64, freeze=0)))
    status = cli.main(["train", "--recipe", str(recipe), "--data", str(xrays), "--work", str(tmp_path / "work"),
                       "--fold", "IM"])  # fmt: skip
    assert status == 0
    rows = list(csv.DictReader((tmp_path / "work" / "epochs.csv").open()))
    assert [row["size"] for row in rows] == ["32", "64"]
    assert [bool(row["val_worst"]) for row in rows] == [False, True], "only the last stage is judged"
    report = json.loads((tmp_path / "work" / "report.json").read_text())
    assert report["subgroups"].keys() == {"viral pneumonia", "normal, series IM"}


@pytest.mark.training
def test_calibrate_keeps_the_network_and_sets_thresholds(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    source = shutil.copytree(random_bundle.path, tmp_path / "source")
    meta = json.loads((source / "bundle.json").read_text()) | {"elsewhere": {"at": "the old threshold"}}
    (source / "bundle.json").write_text(json.dumps(meta))
    status = cli.main(["calibrate", "--model", str(source), "--data", str(xrays),
                       "--output", str(tmp_path / "new"), "--version", "0.0.2"])  # fmt: skip
    assert status == 0
    new = Bundle.read(tmp_path / "new")
    assert "elsewhere" not in new.meta
    assert new.weights_sha256 == random_bundle.weights_sha256
    assert new.calibration.method == "platt"
    pixels = load_input(next((xrays / "NORMAL").iterdir()), new.preprocessing)[np.newaxis]
    raw, calibrated = engines.load(random_bundle.path).predict(pixels), engines.load(new.path).predict(pixels)
    assert calibrated[0, 1] == pytest.approx(new.calibration.apply(raw[:, 1])[0], abs=1e-5)
    assert calibrated.sum() == pytest.approx(1)
