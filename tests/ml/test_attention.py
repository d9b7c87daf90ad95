"""The loss on evidence outside the lungs."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from ml.inference import evidence, lungs
from ml.networks import explain
from ml.pictures.preprocess import to_tensor
from ml.training import attention, objective
from tests.ml.test_lungs import drawn
from tests.ml.test_objective import loss, recipe

SIZE = 224


@pytest.fixture(scope="module")
def chests() -> np.ndarray:
    return np.stack([drawn(), drawn(seed=1, lower=16)])


def test_training_finds_the_same_lungs_as_a_reading(chests: np.ndarray) -> None:
    found = keras.ops.convert_to_numpy(attention.masks(chests[..., None].astype(np.float32)))[..., 0]
    assert np.abs(found - lungs.masks(chests)).mean() < 0.02


@pytest.mark.long
def test_training_measures_evidence_on_a_readings_map(chests: np.ndarray, built: Callable[..., keras.Model]) -> None:
    network = built("vgg16", SIZE)
    for name in ("hidden", "probabilities"):  # every part raises the score, so that there is a map with any weights
        kernel = network.get_layer(name).kernel
        kernel.assign(keras.ops.abs(kernel))
    inputs = to_tensor(chests)
    maps = keras.ops.convert_to_numpy(explain.reader(network)(inputs)[2])
    inside = evidence.near(lungs.masks(chests))
    expected = (maps * (1 - inside)).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    values = keras.Model(network.inputs, [explain.last_map(network).output, network.get_layer("hidden").output])
    outside = attention.EvidenceOutside(network)(chests[..., None].astype(np.float32), *values(inputs))
    assert keras.ops.convert_to_numpy(outside)[:, 0] == pytest.approx(expected, abs=0.03)


def test_no_evidence_is_outside_if_no_lungs_are_found(
    built: Callable[..., keras.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "masks", lambda grey: np.zeros((1, 14, 14, 1), np.float32))
    network = built("vgg16", SIZE)
    values = [np.ones(shape, np.float32) for shape in ((1, SIZE, SIZE, 1), (1, 14, 14, 512), (1, 512))]
    outside = attention.EvidenceOutside(network)(*values)
    assert keras.ops.convert_to_numpy(outside).tolist() == [[0.0]]


def test_only_pneumonias_add_to_the_loss() -> None:
    truth = objective.targets(np.array([0, 1, -1]), np.array([objective.NO_CAUSE] * 3), np.array([1.0, 1.0, 0.0]))
    answers = np.array([[0.5, 0.5, share] for share in (0.8, 0.8, 0.8)], np.float32)
    added = loss(recipe(lungs=0.5), truth, answers) - loss(recipe(), truth, answers)
    assert added == pytest.approx([0, 0.4, 0], abs=1e-6)
