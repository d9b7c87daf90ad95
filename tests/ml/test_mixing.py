"""Augmentations that take something from other images of the batch."""

import keras
import numpy as np
import pytest

from ml.training.mixing import Mixing, TakeOutside, TakeStyle

SIDE = 32


def batch(count: int = 6) -> np.ndarray:
    """Images of noise that differ in brightness."""
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 40, (count, SIDE, SIDE, 1)) + 20.0 * np.arange(count)[:, None, None, None]
    return images.astype(np.float32)


@pytest.mark.parametrize("kind", [TakeStyle, TakeOutside])
def test_images_change_only_during_training(kind: type[Mixing]) -> None:
    images = batch()
    assert np.array_equal(kind(1.0, 1)(images, training=False), images)
    assert np.array_equal(kind(0.0, 1)(images, training=True), images)


def test_taking_a_style_moves_grey_levels_and_keeps_the_pattern() -> None:
    images = batch()
    mixed = keras.ops.convert_to_numpy(TakeStyle(1.0, 1)(images, training=True))
    assert mixed.shape == images.shape
    assert mixed.min() >= 0
    assert mixed.max() <= 255
    # Each image's brightness has changed, and its pattern has not.
    assert (np.abs(mixed.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))) > 0.5).all()
    for before, after in zip(images, mixed, strict=True):
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.7


def test_only_the_surroundings_come_from_another_image() -> None:
    images = batch()
    mixed = keras.ops.convert_to_numpy(TakeOutside(1.0, 1)(images, training=True))
    middle = slice(12, 20)
    assert np.allclose(mixed[:, middle, middle], images[:, middle, middle], atol=1e-3)
    corners = np.abs(mixed[:, :2, :2] - images[:, :2, :2]).mean(axis=(1, 2, 3))
    assert (corners > 5).all()


def test_the_other_image_is_never_a_second_view_of_the_same() -> None:
    images = np.repeat(batch(8)[::2], 2, axis=0)
    for seed in range(5):
        mixed = keras.ops.convert_to_numpy(TakeOutside(1.0, seed)(images, training=True))
        assert (np.abs(mixed[:, 0, 0] - images[:, 0, 0]) > 0).all()
