"""The layers around a network during training, and its loss."""

from typing import Any

import keras
import numpy as np
import pytest

from ml.networks import architectures
from ml.pictures.preprocess import Preprocessing, to_tensor
from ml.training import objective
from ml.training.recipe import Recipe, Stage

SIZE = 64


def recipe(**options: Any) -> Recipe:
    stages = (Stage(epochs=1, size=SIZE),)
    return Recipe(stages=stages, preprocessing=Preprocessing(size=SIZE), precision="float32", **options)


def test_the_training_model_answers_like_its_network() -> None:
    network = architectures.build("cnn", SIZE)
    inputs = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE)).astype(np.uint8)
    around = objective.around(network, recipe(style=1.0, outside=1.0), SIZE)
    expected = network.predict_on_batch(to_tensor(inputs))
    assert np.allclose(around.predict_on_batch(inputs), expected, atol=1e-5)


def test_the_second_head_is_not_part_of_the_network() -> None:
    network = architectures.build("vgg16", SIZE)
    around = objective.around(network, recipe(causes=0.5), SIZE)
    assert around.output.shape == (None, 5)
    assert around.count_params() == network.count_params() + 512 * 3 + 3


def loss(recipe: Recipe, truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
    losses = objective.loss(recipe)(keras.ops.convert_to_tensor(truth), keras.ops.convert_to_tensor(answers))
    return np.asarray(keras.ops.convert_to_numpy(losses))


def test_an_image_without_a_label_only_has_to_agree_with_its_other_view() -> None:
    truth = objective.targets(np.array([-1, -1]), np.array([objective.NO_CAUSE] * 2), np.zeros(2))
    apart = np.array([[0.8, 0.2], [0.2, 0.8]], np.float32)
    alike = np.array([[0.2, 0.8], [0.2, 0.8]], np.float32)
    assert loss(recipe(), truth, apart) == pytest.approx([0, 0])
    assert loss(recipe(consistency=1.0), truth, alike) == pytest.approx([0, 0])
    assert loss(recipe(consistency=1.0), truth, apart)[0] == pytest.approx((2 * np.log(4)) ** 2, rel=1e-4)


def test_the_loss_is_that_of_keras_with_smoothed_labels() -> None:
    truth = objective.targets(np.array([0, 1]), np.array([0, 2]), np.ones(2))
    answers = np.array([[0.7, 0.1, 0.8, 0.1, 0.1], [0.4, 0.9, 0.2, 0.3, 0.5]], np.float32)
    expected = keras.losses.BinaryCrossentropy(label_smoothing=0.03, reduction=None)(truth[:, :2], answers[:, :2])
    plain = loss(recipe(label_smoothing=0.03), truth, answers)
    assert plain == pytest.approx(keras.ops.convert_to_numpy(expected), rel=1e-4)
    causes = loss(recipe(label_smoothing=0.03, causes=0.5), truth, answers)
    assert causes - plain == pytest.approx(-0.5 * np.log([0.8, 0.5]), rel=1e-4)
