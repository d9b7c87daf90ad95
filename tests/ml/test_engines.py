"""Every engine gives the same readings or is refused, and the fastest one on a machine is used."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from ml import cli
from ml.bundles.bundle import Bundle
from ml.errors import BundleError, EngineError
from ml.experiments import experiment_commands
from ml.inference import choice, engines, machine
from ml.inference.engines import Readings, convolutions, mnn_engine, trunk
from ml.inference.engines.head import Head
from ml.inference.engines.mnn_engine import MnnEngine
from ml.inference.engines.openvino_engine import OpenVinoEngine
from ml.networks import explain
from ml.pictures import preprocess
from ml.statistics.calibration import Calibration
from tests import synthetic

PLATT = Calibration("platt", 1.5, 2.0)


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    """Pictures for which no hidden unit is close to zero, where rounding decides whether it is part of the map."""
    return np.random.default_rng(39).integers(0, 256, (6, 64, 64), dtype=np.uint8)


def assert_same(found: Readings, expected: Readings) -> None:
    for field in dataclasses.fields(Readings):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert one.dtype == other.dtype == np.float32
        tolerance = 1e-4 * max(1e-3, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=tolerance, err_msg=field.name)


def test_mnn_and_keras_give_the_same_readings(random_bundle: Bundle, batch: np.ndarray) -> None:
    found, expected = (engines.load(random_bundle.path, name) for name in ("mnn", "keras"))
    assert (found.name, expected.name) == ("mnn", "keras")
    # More images than go through the network together, and a single image.
    assert len(batch) > trunk.TOGETHER
    assert_same(found.read(batch), expected.read(batch))
    assert_same(found.read(batch[2:3]), expected.read(batch[2:3]))
    np.testing.assert_allclose(found.predict(batch), expected.predict(batch), atol=1e-4)


@pytest.mark.parametrize(("engine", "parts"), [(MnnEngine, [4, 4, 4, 4, 1]), (OpenVinoEngine, [16, 1])])
def test_threads_that_read_one_image_each_wait_only_at_the_end_of_the_batch(
    engine: type[trunk.TrunkEngine], parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    created = engine.__new__(engine)
    monkeypatch.setattr(created, "_head", SimpleNamespace(hidden=lambda features: features), raising=False)
    monkeypatch.setattr(created, "_last_map", lambda part: sizes.append(len(part)) or part)
    assert len(created.hidden(np.zeros((17, 8, 8), np.uint8))) == 17
    assert sizes == parts


@pytest.mark.parametrize("shape", [(5, 7, 4), (1, 1, 2)])
def test_a_convolution_is_the_sum_of_the_nine_places_around_each(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(5)
    values, kernel = (rng.normal(size=size).astype(np.float32) for size in (shape, (3, 3, shape[2], 3)))
    around = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    expected = [
        [np.tensordot(around[y : y + 3, x : x + 3], kernel, axes=3) for x in range(shape[1])] for y in range(shape[0])
    ]
    np.testing.assert_allclose(convolutions.convolve(values, kernel), expected, atol=1e-5)


@pytest.mark.parametrize("scaling", preprocess.SCALINGS)
def test_a_grey_channel_and_one_of_ones_replace_the_networks_channels(scaling: str) -> None:
    rng = np.random.default_rng(4)
    images, kernel = rng.integers(0, 256, (1, 9, 8), np.uint8), rng.normal(size=(3, 3, 3, 5)).astype(np.float32)
    expected = convolutions.convolve(preprocess.to_tensor(images, scaling)[0], kernel)
    two = np.stack([images[0], np.ones((9, 8))], axis=-1).astype(np.float32)
    found = convolutions.convolve(two, mnn_engine.for_grey(kernel, scaling))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(4, 4), (5, 7)], ids=["even", "odd"])
def test_the_head_agrees_with_automatic_differentiation(shape: tuple[int, int]) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input((*shape, 16))
    values = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(layers.Activation("relu")(inputs)))
    hidden, outputs = layers.Dense(12, "relu", name="hidden"), layers.Dense(2, "sigmoid", name="probabilities")
    model = keras.Model(inputs, outputs(hidden(values)))
    weights = {
        f"{layer.name}/{part}": np.asarray(array)
        for layer in (hidden, outputs)
        for part, array in zip(("kernel", "bias"), layer.get_weights(), strict=True)
    }
    maps = np.random.default_rng(1).uniform(0, 9, (3, *shape, 16)).astype(np.float32)
    expected = [np.asarray(keras.ops.convert_to_numpy(part), np.float32) for part in explain.reader(model)(maps)]
    expected[0] = PLATT.apply_to_outputs(expected[0])
    assert_same(Head(weights, PLATT).read(maps.transpose(0, 3, 1, 2)), Readings(*expected))


@pytest.mark.long
def test_mnn_is_refused_if_its_results_do_not_match_the_weights(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = mnn_engine.write

    def write_changed(weights: dict[str, np.ndarray], size: int, file: Path) -> Path:
        kernel = weights["block5_conv3/kernel"]
        return write({**weights, "block5_conv3/kernel": kernel * np.float32(1.01)}, size, file)

    monkeypatch.setattr(mnn_engine, "write", write_changed)
    with pytest.raises(EngineError, match=r"MNN does not compute .* what the model's weights say"):
        engines.load(random_bundle.path, "mnn")


def copy(bundle: Bundle, folder: Path, **meta: Any) -> Bundle:
    """A bundle with the same weights and another description."""
    folder.mkdir()
    (folder / "weights.npz").symlink_to(bundle.path / "weights.npz")
    text = json.loads((bundle.path / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**text, **meta}))
    return Bundle.read(folder)


def test_an_engine_that_cannot_run_a_bundle_is_refused_with_a_reason(
    random_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resnet = copy(random_bundle, tmp_path / "resnet", architecture="resnet50")
    with pytest.raises(EngineError, match="the engine mnn runs vgg16 only, not resnet50 "):
        engines.load(resnet.path, "mnn")
    assert engines.usable(resnet) == ["keras"]
    with pytest.raises(EngineError, match="unknown engine 'abacus'; known: auto, keras, mnn, openvino"):
        engines.load(random_bundle.path, "abacus")
    monkeypatch.setattr(engines, "find_spec", lambda package: package == "MNN" or None)
    assert engines.usable(random_bundle) == ["mnn"]
    with pytest.raises(EngineError, match="keras needs keras and tensorflow; `make run ENGINE=keras` installs that"):
        engines.load(random_bundle.path, "keras")
    with pytest.raises(EngineError, match="no engine that is installed runs a resnet50"):
        engines.load(resnet.path)


def test_weights_of_another_network_are_refused(random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "weights", lambda _: {"something": np.zeros(3, np.float32)})
    with pytest.raises(BundleError, match="does not hold the weights of a vgg16"):
        engines.load(random_bundle.path, "mnn")


@pytest.mark.parametrize("missing", ["keras", "sklearn"])
def test_a_command_whose_package_is_missing_prints_one_clear_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{missing}'", name=f"{missing}.metrics")

    monkeypatch.setattr(experiment_commands, "_table", fail)
    assert cli.main(["table", "x"]) == 2
    assert "`make training` installs it" in capsys.readouterr().err


# --- the choice -----------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that were measured, in order. Keras is the faster one."""
    names: list[str] = []

    def measure(_: Bundle, name: str, precision: str) -> float:
        names.append(name if precision == engines.FLOAT32 else f"{name} {precision}")
        return {"mnn": 4.0, "keras": 9.0}[name]

    monkeypatch.setattr(choice, "_measure", measure)
    monkeypatch.setattr(engines, "on_gpu", lambda: False)
    return names


def test_the_fastest_is_chosen_once_for_each_machine_and_bundle(
    random_bundle: Bundle, tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "engines.json"
    assert [choice.choose(random_bundle, cache) for _ in range(2)] == ["keras", "keras"]
    assert measured == ["mnn", "keras"]
    monkeypatch.setattr(machine, "processor", lambda: "another")
    assert choice.choose(random_bundle, cache) == "keras"
    other = dataclasses.replace(random_bundle, weights_sha256="0" * 64)
    assert choice.choose(other, cache) == "keras"
    assert measured == 3 * ["mnn", "keras"]
    assert choice.choose(other, cache, "bfloat16") == "keras"
    assert measured[-1] == "keras bfloat16"
    assert len(json.loads(cache.read_text())) == 4
    cache.write_text("{")
    assert choice.choose(other, cache) == "keras"
    assert choice.choose(other, tmp_path / "none" / "engines.json") == "keras", "a cache that cannot be written"


def test_a_gpu_or_one_engine_needs_no_measurement(
    random_bundle: Bundle, tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "on_gpu", lambda: True)
    assert choice.choose(random_bundle, tmp_path / "cache") == "keras"
    monkeypatch.setattr(engines, "on_gpu", lambda: False)
    monkeypatch.setattr(engines, "find_spec", lambda package: package == "MNN" or None)
    assert choice.choose(random_bundle, tmp_path / "cache") == "mnn"
    assert measured == []


def test_an_engine_that_failed_is_measured_again_at_the_next_start(
    random_bundle: Bundle, tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = choice._measure
    monkeypatch.setattr(choice, "_measure", lambda *args: 0.0 if args[1] == "keras" else measure(*args))
    assert choice.choose(random_bundle, tmp_path / "engines.json") == "mnn"
    monkeypatch.setattr(choice, "_measure", measure)
    assert choice.choose(random_bundle, tmp_path / "engines.json") == "keras"


@pytest.mark.long
def test_an_engine_is_measured_in_a_separate_process(random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "SECONDS", 0.1)
    assert choice._measure(random_bundle, "mnn") > 0
    assert choice._measure(random_bundle, "abacus") == 0, "an engine that fails is never the fastest"
    monkeypatch.setattr(choice, "LIMIT", 0.1)
    assert choice._measure(random_bundle, "mnn") == 0, "nor is one that does not finish"


@pytest.mark.long
def test_reading_loads_no_tensorflow(random_bundle: Bundle, tmp_path: Path) -> None:
    """The results also contain nothing that MNN's library prints."""
    picture = tmp_path / "x.jpeg"
    picture.write_bytes(synthetic.xray_jpeg())
    script = (
        "import sys; from ml import cli; status = cli.main(sys.argv[1:]); "
        "print(status, [name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "predict", "--model", str(random_bundle.path), str(picture)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    line, last = result.stdout.splitlines()
    assert line.startswith(f"{picture}: 0.")
    assert last == "0 []"
