"""Training and serving share one preprocessing."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from ml.pictures.decode import open_image
from ml.pictures.preprocess import Preprocessing, to_input, to_tensor
from tests import synthetic


def test_input_is_square_grey_and_stretched() -> None:
    pixels = to_input(synthetic.xray(1, (900, 700)), Preprocessing())
    assert pixels.shape == (224, 224)
    assert pixels.dtype == np.uint8
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_exposure_is_normalised() -> None:
    image = synthetic.xray(1, (600, 500))
    darker = image.point([int(20 + value * 0.5) for value in range(256)])
    before, after = (to_input(picture, Preprocessing()).astype(int) for picture in (image, darker))
    assert np.abs(before - after).mean() < 3


@pytest.mark.parametrize("percents", [(1.0, 99.0), (0.0, 100.0), (2.5, 60.0)])
def test_contrast_is_stretched_between_percentiles(percents: tuple[float, float]) -> None:
    image = synthetic.xray(3, (96, 96))
    values = np.asarray(image, dtype=np.float64)
    low, high = np.percentile(values, percents)
    expected = np.rint(np.clip((values - low) * 255 / (high - low), 0, 255))
    pixels = to_input(image, Preprocessing(size=96, blur=0, percentiles=percents))
    np.testing.assert_array_equal(pixels, expected)


def test_an_image_that_uses_the_whole_range_is_equalized_like_any_other() -> None:
    narrow = synthetic.xray(3, (224, 224)).point(lambda level: 20 + level * 0.7)
    wide = narrow.point(lambda level: min(255, max(0, (level - 60) * 2.4)))
    spec = Preprocessing(blur=0, percentiles=(0, 100), equalize=1.0)
    assert wide.getextrema() == (0, 255)
    within = np.asarray(wide) % 255 > 0
    difference = to_input(wide, spec).astype(int) - to_input(narrow, spec)
    assert np.abs(difference[within]).max() <= 2


def test_a_blank_image_stays_blank() -> None:
    pixels = to_input(Image.new("L", (300, 300), 90), Preprocessing())
    assert pixels.max() - pixels.min() == 0


def test_large_and_small_versions_give_nearly_the_same_input() -> None:
    large = synthetic.xray(4, (1600, 1300))
    small = large.resize((224, 224), Image.Resampling.BICUBIC)
    spec = Preprocessing()
    difference = np.abs(to_input(large, spec).astype(int) - to_input(small, spec).astype(int)).mean()
    sharp = Preprocessing(blur=0.0)
    sharp_difference = np.abs(to_input(large, sharp).astype(int) - to_input(small, sharp).astype(int)).mean()
    assert difference < 3
    assert difference < sharp_difference


def test_the_tensor_is_that_of_keras_preprocessing_for_vgg16() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    colour = np.repeat(batch[..., np.newaxis], 3, axis=-1).astype(np.float32)
    expected = keras.applications.vgg16.preprocess_input(colour)
    tensor = to_tensor(batch)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, expected, atol=1e-4)


def test_preprocessing_is_restored_from_json() -> None:
    spec = Preprocessing(size=96, blur=0.5, percentiles=(2.0, 98.0))
    assert Preprocessing.from_json(spec.to_json()) == spec


@pytest.mark.real_data
def test_real_images_are_prepared_alike_for_training_and_serving(originals: list[Path]) -> None:
    """What serving stores for an upload is what training makes of the same file."""
    from ml.pictures.augment import Strength, perturb

    unchanged = Strength(*[0.0] * 9)
    spec = Preprocessing()
    for file in originals[:5]:
        image = open_image(file.read_bytes())
        served = to_input(image, spec)
        # Training without any change may only differ by its choice of the resampling filter.
        trained = perturb(image, np.random.default_rng(0), unchanged, spec)
        assert np.abs(served.astype(int) - trained.astype(int)).mean() < 3
