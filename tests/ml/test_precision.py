"""In half precision Keras reads like in float32, or it is refused."""

import copy
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from ml import cli
from ml.bundles.bundle import Bundle
from ml.errors import EngineError
from ml.inference import engines
from ml.inference.engines.keras_engine import KerasEngine
from ml.pictures.preprocess import to_input
from tests import synthetic
from tests.ml.test_evidence import BUNDLE

#: The largest difference from float32: of a probability, and of a feature as a part of the largest one.
BOUNDS = {"bfloat16": (0.005, 0.03), "float16": (0.0005, 0.006)}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(39).integers(0, 256, (3, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def exact(random_bundle: Bundle) -> engines.Engine:
    return engines.load(random_bundle.path, "keras")


def assert_close(found: engines.Readings, expected: engines.Readings, precision: str) -> None:
    probability, share = BOUNDS[precision]
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=probability)
    np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=share * expected.features.max())


def test_the_released_network_reads_in_bfloat16_as_in_float32() -> None:
    batch = np.stack([to_input(synthetic.xray(seed), BUNDLE.preprocessing) for seed in range(2)])
    exact, half = (engines.load(BUNDLE.path, "keras", precision) for precision in ("float32", "bfloat16"))
    expected, found = exact.read(batch), half.read(batch)
    assert_close(found, expected, "bfloat16")
    for one, other in zip(found.maps, expected.maps, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    assert [BUNDLE.label(one) for one in found.probabilities[:, 1]] == [
        BUNDLE.label(one) for one in expected.probabilities[:, 1]
    ]


@pytest.mark.parametrize("precision", BOUNDS)
def test_only_the_convolutions_are_in_half_precision(
    exact: engines.Engine, random_bundle: Bundle, noise: np.ndarray, precision: str
) -> None:
    half = engines.load(random_bundle.path, "keras", precision)
    assert (exact.name, half.name) == ("keras", f"keras {precision}")
    expected, found = exact.read(noise), half.read(noise)
    assert_close(found, expected, precision)
    assert (found.features != expected.features).any(), "it computes in another precision"
    half_features = ops.convert_to_numpy(ops.cast(ops.cast(found.features, precision), "float32"))
    assert (half_features != found.features).any(), "the averages after the convolutions are float32"
    np.testing.assert_array_equal(half.predict(noise), found.probabilities)


def test_a_network_that_half_precision_changes_is_refused(
    random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {
        name: array * (1e4 if name == "block1_conv1/kernel" else 1) for name, array in random_bundle.weights().items()
    }
    monkeypatch.setattr(Bundle, "weights", lambda _: large)
    with pytest.raises(EngineError, match=r"computes in float16 .* than in float32: .* Set KERAS_PRECISION=float32"):
        engines.load(random_bundle.path, "keras", "float16")


def test_an_image_with_a_feature_that_is_no_number_gets_no_probability(
    random_bundle: Bundle, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = KerasEngine(random_bundle)
    outputs, features, maps = (np.array(part) for part in engine._read(np.zeros((3, 64, 64, 3), np.float32)))
    features[1, 7] = np.inf
    monkeypatch.setattr(engine, "_read", lambda _: (outputs, features, maps))
    assert np.isfinite(engine.read(noise).probabilities).all(axis=1).tolist() == [True, False, True]


def test_the_benchmark_measures_keras_in_each_precision(
    exact: engines.Engine, random_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(_: Path, name: str, precision: str) -> engines.Engine:
        engine = copy.copy(exact)
        engine.name = f"{name} {precision}"
        loaded.append(engine.name)
        return engine

    monkeypatch.setattr(engines, "load", load)
    command = ["benchmark", "--model", str(random_bundle.path), "--batch", "1", "--seconds", "0.01"]
    assert cli.main([*command, "--engine", "keras", "mnn", "--precision", "float32", "bfloat16"]) == 0
    assert loaded == ["keras float32", "keras bfloat16", "mnn float32"]
