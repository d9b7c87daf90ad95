"""A bundle's network gives the same answers in other formats as in its engine."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ml import cli
from ml.bundles import bundle, export
from ml.bundles.bundle import Bundle
from ml.inference import engines
from ml.pictures.preprocess import Preprocessing
from ml.statistics.calibration import Calibration

IMAGES = np.random.default_rng(4).integers(0, 256, (3, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def calibrated(random_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    meta = {key: value for key, value in random_bundle.meta.items() if key not in ("format", "weights")}
    meta["calibration"] = Calibration("platt", 2.5, -0.7).to_json()
    return bundle.write(tmp_path_factory.mktemp("calibrated") / "bundle", random_bundle.load_model(), meta)


@pytest.mark.training
@pytest.mark.parametrize("kind", ["tf_saved_model", "litert"])
def test_an_exported_network_answers_like_the_engine(
    random_bundle: Bundle, calibrated: Bundle, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert cli.main(["export", "--model", str(calibrated.path), "--output", str(output), "--format", kind]) == 0
    target = output / export.FORMATS[kind]
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {target}"
    expected = engines.load(calibrated.path).predict(IMAGES)
    np.testing.assert_allclose(_run(kind, target), expected, atol=1e-4)
    assert not np.allclose(expected, engines.load(random_bundle.path).predict(IMAGES), atol=1e-2)
    description = json.loads((output / "export.json").read_text())
    assert description["bundle"] == calibrated.id
    assert description["threshold"] == calibrated.threshold
    assert Preprocessing.from_json(description["preprocessing"]) == calibrated.preprocessing


def _run(kind: str, target: Path) -> np.ndarray:
    import tensorflow as tf

    if kind == "tf_saved_model":
        loaded = tf.saved_model.load(target)
        return loaded.serve(IMAGES).numpy()
    interpreter = tf.lite.Interpreter(str(target))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], IMAGES.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], IMAGES)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_an_existing_folder_is_not_overwritten(
    random_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", "--model", str(random_bundle.path), "--output", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_format_whose_package_is_missing_is_refused_and_leaves_nothing(
    random_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    output = tmp_path / "out"
    arguments = ["export", "--model", str(random_bundle.path), "--output", str(output), "--format", "openvino"]
    assert cli.main(arguments) == 2
    assert "openvino" in capsys.readouterr().err
    assert not output.exists()


def test_an_unknown_format_is_refused_with_the_known_ones(
    random_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--model", str(random_bundle.path), "--output", str(tmp_path / "out"), "--format", "fax"]
    assert cli.main(arguments) == 2
    assert "known: tf_saved_model, litert, onnx, openvino" in capsys.readouterr().err
