"""Where each size of a batch takes time to prepare, Keras gets few sizes, all of which are warm."""

from typing import Any

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.inference.engines import keras_engine
from ml.inference.engines.keras_engine import KerasEngine


@pytest.fixture
def sizes() -> list[int]:
    return []


def recording(bundle: Bundle, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> KerasEngine:
    engine = KerasEngine(bundle)
    read = engine._read

    def record(images: np.ndarray) -> Any:
        sizes.append(len(images))
        return read(images)

    monkeypatch.setattr(engine, "_read", record)
    return engine


def test_on_a_gpu_batches_are_padded_to_warm_sizes(
    random_bundle: Bundle, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = np.random.default_rng(39).integers(0, 256, (7, 64, 64), dtype=np.uint8)
    expected = KerasEngine(random_bundle).read(batch[:5])
    monkeypatch.setattr(keras_engine, "_accelerator", lambda: "gpu:0")
    engine = recording(random_bundle, sizes, monkeypatch)
    engine.warm_up(1)
    engine.warm_up(6)
    assert sizes == [1, 1, 2, 4, 6]
    sizes.clear()
    found = [engine.read(batch[:count]) for count in range(1, 7)]
    assert sizes == [1, 2, 4, 4, 6, 6]
    assert [len(readings.probabilities) for readings in found] == [1, 2, 3, 4, 5, 6]
    for name in ("probabilities", "features", "maps"):
        assert getattr(found[4], name).shape == getattr(expected, name).shape
        np.testing.assert_allclose(getattr(found[4], name), getattr(expected, name), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(engine.predict(batch[:5]), expected.probabilities, atol=1e-4)
    assert len(engine.read(batch).probabilities) == 7, "a larger batch than expected is read as it is"


def test_on_a_processor_no_time_is_spent_on_empty_images(
    random_bundle: Bundle, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = recording(random_bundle, sizes, monkeypatch)
    engine.warm_up(6)
    engine.read(np.zeros((5, 64, 64), dtype=np.uint8))
    assert sizes == [1, 6, 5]
