"""A bundle quantized to 8-bit integers gives nearly the readings of float32, or is refused."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.errors import BundleError, EngineError, ExportError
from ml.evaluation import quantization
from ml.inference import engines, machine
from ml.inference.engines import ENGINES, INT8, convolutions, openvino_engine
from ml.pictures.preprocess import SCALINGS, to_tensor
from tests import synthetic

pytest.importorskip("openvino", reason="OpenVINO is installed on Linux on x86-64 only")


@pytest.fixture(scope="module")
def batch() -> np.ndarray:
    return np.random.default_rng(39).integers(0, 256, (6, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def ranges(random_bundle: Bundle, batch: np.ndarray) -> dict[str, np.ndarray]:
    return quantization.ranges(random_bundle, batch)


def copy(bundle: Bundle, folder: Path, **meta: Any) -> Bundle:
    folder.mkdir()
    (folder / "weights.npz").symlink_to(bundle.path / "weights.npz")
    (folder / "bundle.json").write_text(json.dumps({**bundle.meta, **meta}))
    return Bundle.read(folder)


def with_ranges(bundle: Bundle, folder: Path, ranges: dict[str, np.ndarray]) -> Bundle:
    quantization.put(copy(bundle, folder), ranges)
    return Bundle.read(folder)


@pytest.mark.long
def test_readings_in_int8_are_close_to_float32(
    random_bundle: Bundle, batch: np.ndarray, ranges: dict[str, np.ndarray], tmp_path: Path
) -> None:
    quantized = with_ranges(random_bundle, tmp_path / "made", ranges)
    found, exact = (engines.load(quantized.path, name).read(batch) for name in ("openvino", "mnn"))
    assert np.abs(found.probabilities - exact.probabilities).max() < 0.02
    assert not np.array_equal(found.features, exact.features), "the engine does not compute in float32"
    for one, other in ((found.features, exact.features), (found.maps, exact.maps)):
        assert one.shape == other.shape
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99


@pytest.mark.long
def test_a_batch_is_read_like_single_images(
    random_bundle: Bundle, batch: np.ndarray, ranges: dict[str, np.ndarray], tmp_path: Path
) -> None:
    engine = engines.load(with_ranges(random_bundle, tmp_path / "made", ranges).path, "openvino")
    together, alone = engine.read(batch), [engine.read(image[np.newaxis]) for image in batch]
    # How work is split between threads changes sums in the last digit, and sometimes a value by one of its 128 steps.
    assert np.allclose(together.probabilities, np.concatenate([single.probabilities for single in alone]), atol=1e-3)
    for n, single in enumerate(alone):
        distances = [np.abs(single.features[0] - features).mean() for features in together.features]
        assert np.argmin(distances) == n


@pytest.mark.long
def test_fewer_images_than_threads_share_all_threads(
    random_bundle: Bundle,
    batch: np.ndarray,
    ranges: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import openvino as ov

    started: list[int] = []
    start = ov.AsyncInferQueue.start_async

    def start_async(queue: Any, inputs: Any, index: int) -> None:
        started.append(index)
        start(queue, inputs, index)

    monkeypatch.setattr(ov.AsyncInferQueue, "start_async", start_async)
    monkeypatch.setattr(machine, "cores", lambda: 4)
    engine = engines.load(with_ranges(random_bundle, tmp_path / "made", ranges).path, "openvino")
    few = engine.read(batch[:3])
    assert not started
    enough = engine.read(batch[:4])
    assert started == [0, 1, 2, 3]
    assert np.allclose(few.probabilities, enough.probabilities[:3], atol=1e-3)
    assert np.corrcoef(few.features.ravel(), enough.features[:3].ravel())[0, 1] > 0.99


def test_values_are_quantized_before_pooling() -> None:
    weights: dict[str, np.ndarray] = {}
    for layer, channels in zip(chain(*convolutions.BLOCKS), [3, *[1] * 12], strict=True):
        weights[f"{layer}/kernel"] = np.ones((3, 3, channels, 1), np.float32)
        weights[f"{layer}/bias"] = np.ones(1, np.float32)
    model = openvino_engine.graph(weights, dict.fromkeys(openvino_engine.QUANTIZED, 1.0))
    pools = [node for node in model.get_ops() if node.get_type_name() == "MaxPool"]
    assert [node.input_value(0).get_node().get_type_name() for node in pools] == ["FakeQuantize"] * 4


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_networks_input_is_the_usual_tensor_with_channels_first(batch: np.ndarray, scaling: str) -> None:
    found = openvino_engine.channels_first(batch, scaling)
    assert np.array_equal(found, to_tensor(batch, scaling).transpose(0, 3, 1, 2))
    assert found.flags.c_contiguous


@pytest.mark.long
def test_bundles_without_ranges_or_with_wrong_ones_are_refused(
    random_bundle: Bundle, ranges: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "openvino" not in engines.usable(random_bundle)
    with pytest.raises(EngineError, match=r"bundles that `python -m ml quantize` has measured, not vgg16"):
        engines.load(random_bundle.path, "openvino")
    wrong = with_ranges(random_bundle, tmp_path / "wrong", {name: value / 4 for name, value in ranges.items()})
    monkeypatch.setattr(machine, "has_integers", lambda: True)
    assert "openvino" in engines.usable(wrong)
    monkeypatch.setattr(machine, "has_integers", lambda: False)
    assert "openvino" not in engines.usable(wrong), "it is chosen only on machines where it is faster"
    with pytest.raises(EngineError, match=r"OpenVINO does not compute on this machine what the model's weights say"):
        engines.load(wrong.path, "openvino")
    (wrong.path / "int8.npz").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"int8\.npz is missing, or not what bundle\.json says"):
        engines.load(wrong.path, "openvino")


ROW = {"images": 1000, "labels_changed": 3, "warnings_changed": 5, "mean_difference": 0.01, "roc_auc": 0.95,
       "map_correlation": 0.98}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "named"),
    [({}, ""), ({"labels_changed": 4}, "labels_changed 0.004"), ({"warnings_changed": 6}, "warnings_changed 0.006"),
     ({"mean_difference": 0.011}, "mean_difference 0.011"), ({"roc_auc": 0.949}, "roc_auc 0.0015"),
     ({"map_correlation": 0.97}, "map_correlation 0.97")],
)  # fmt: skip
def test_figures_out_of_bounds_are_named(changes: dict[str, Any], named: str) -> None:
    found = quantization.exceeded({**ROW, **changes}, {"roc_auc": 0.9505})
    assert len(found) == bool(named)
    assert named in "".join(found)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.long
def test_ranges_that_change_the_readings_are_not_written(
    random_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(24):
        folder = tmp_path / "data" / ("NORMAL", "PNEUMONIA")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"person{n}_bacteria_1.jpeg").write_bytes(synthetic.xray_jpeg(n, (80, 80)))
    target = copy(random_bundle, tmp_path / "made", training={"recipe": {"held_out": 0.5, "seed": 7}})
    before = (target.path / "bundle.json").read_text()
    with monkeypatch.context() as patched:
        patched.setitem(quantization.MOST, "mean_difference", -1)
        with pytest.raises(ExportError, match=r"in int8 .* reads held out otherwise: .*mean_difference"):
            quantization.write(target.path, tmp_path / "data")
    assert (target.path / "bundle.json").read_text() == before
    assert not (target.path / "int8.npz").exists()
    monkeypatch.setattr(quantization, "MOST", dict.fromkeys(quantization.MOST, 1))
    monkeypatch.setattr(quantization, "LEAST_CORRELATION", -1)
    written = quantization.write(target.path, tmp_path / "data")
    assert Bundle.read(target.path).meta[INT8] == written
    assert set(written["measured"]) == {"held out"}
    assert ENGINES["openvino"].runs(Bundle.read(target.path))
    (target.path / "int8.npz").write_bytes(b"earlier ranges")
    earlier = {file.name: file.read_bytes() for file in target.path.iterdir()}
    monkeypatch.setattr(quantization, "measured", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quantization.write(target.path, tmp_path / "data")
    assert {file.name: file.read_bytes() for file in target.path.iterdir()} == earlier
