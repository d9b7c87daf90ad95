"""`python -m ml`, as its users call it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml import cli, engines
from ml.bundle import Bundle
from ml.predict import load_input
from tests import synthetic


def test_engines_agree_with_the_model_and_with_themselves(random_bundle: Bundle) -> None:
    engine = engines.load(random_bundle.path)
    engine.warm_up(4)
    batch = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    together = engine.predict(batch)
    assert together.shape == (5, 2)
    alone = np.concatenate([engine.predict(batch[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len({round(float(value), 6) for value in together[:, 1]}) == 5


def test_an_unknown_engine_lists_the_known(random_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="known: keras"):
        engines.load(random_bundle.path, "abacus")


def test_evaluate_writes_the_contracts_json_and_figures(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    status = cli.main(["evaluate", "--model", str(random_bundle.path), "--data", str(xrays),
                       "--json", str(tmp_path / "report.json"), "--figures", str(tmp_path / "figures")])  # fmt: skip
    assert status == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["threshold"] == 0.5
    assert {"accuracy", "precision", "recall", "specificity", "f1", "f_beta", "roc_auc", "pr_auc"} <= set(
        report["metrics"]
    )
    (tn, fp), (fn, tp) = report["confusion_matrix"]
    assert tn + fp == fn + tp == 6
    assert report["metrics"]["accuracy"] == pytest.approx((tn + tp) / 12)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        "confusion_matrix.png", "roc.png", "precision_recall.png", "scores.png",
    }  # fmt: skip


def test_predict_reads_what_it_can(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
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
    assert rows[1]["warnings"] == []


def test_a_missing_bundle_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "--model", str(tmp_path), "x.jpg"]) == 2
    assert "is no model bundle" in capsys.readouterr().err


def test_benchmark_measures_every_size(random_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    cli.main(["benchmark", "--model", str(random_bundle.path), "--batch", "1", "3", "--seconds", "0.2",
              "--json", str(out)])  # fmt: skip
    report = json.loads(out.read_text())
    for figures in (report["images_per_second"], report["with_maps_and_warnings"]):
        assert set(figures) == {"1", "3"}
        assert all(figure > 0 for figure in figures.values())


def test_train_writes_a_bundle_and_goes_on_where_it_stopped(xrays: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(xrays), "--output", str(tmp_path / "bundle"), "--work", str(tmp_path / "work"),
                 "--size", "64", "--batch", "4", "--precision", "float32", "--seed", "3"]  # fmt: skip
    assert cli.main([*arguments, "--epochs", "1"]) == 0
    first = Bundle.read(tmp_path / "bundle")
    assert first.meta["parameters"] == 14_978_370
    assert len(first.meta["training"]["epochs"]) == 1
    assert first.meta["held_out"]["hard"]["n"] == 2 * 12 - 2 * first.meta["training"]["images"]
    assert (tmp_path / "bundle" / "figures" / "roc.png").exists()
    log = tmp_path / "work" / "epochs.csv"
    log.write_text(re.sub(r"[^,]+$", "0.0", log.read_text().rstrip()) + "\n")  # val_loss, which nothing beats
    shutil.rmtree(tmp_path / "bundle")
    assert cli.main([*arguments, "--epochs", "2"]) == 0
    second = Bundle.read(tmp_path / "bundle")
    assert [row["epoch"] for row in second.meta["training"]["epochs"]] == [0, 1]
    assert second.weights_sha256 == first.weights_sha256, "the best epoch came before the interruption"
