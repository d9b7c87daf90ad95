"""The networks are those that the report describes."""

import keras
import numpy as np
import pytest

from ml import architectures


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    return architectures.build("vgg16")


def test_vgg16_has_exactly_the_reports_parameters(vgg16: keras.Model) -> None:
    assert vgg16.count_params() == architectures.VGG16_PARAMETERS == 14_978_370
    assert vgg16.output_shape == (None, 2)


def test_freezing_leaves_the_later_blocks_and_the_head(vgg16: keras.Model) -> None:
    architectures.freeze_blocks(vgg16, 3)
    frozen = {layer.name[:6] for layer in vgg16.layers if layer.weights and not layer.trainable}
    free = {layer.name[:6] for layer in vgg16.layers if layer.weights and layer.trainable}
    assert frozen == {"block1", "block2", "block3"}
    assert free == {"block4", "block5", "hidden", "probab"}


def test_imagenet_weights_reach_every_convolution(vgg16: keras.Model, tmp_path) -> None:
    source = keras.applications.VGG16(include_top=False, weights=None)
    file = tmp_path / "base.weights.h5"
    source.save_weights(file)
    architectures.load_imagenet_base(vgg16, file)
    convolutions = [layer for layer in source.layers if layer.weights]
    assert len(convolutions) == 13
    for layer in convolutions:
        for expected, loaded in zip(layer.get_weights(), vgg16.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(expected, loaded)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="known: vgg16"):
        architectures.build("vgg99")
