"""The networks are as the report describes them."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.bundles import bundle
from ml.dataset import data
from ml.networks import architectures


@pytest.fixture(scope="module")
def vgg16() -> keras.Model:
    return architectures.build("vgg16")


def test_vgg16_has_exactly_the_reports_parameters(vgg16: keras.Model) -> None:
    assert vgg16.count_params() == architectures.VGG16_PARAMETERS == 14_978_370
    assert vgg16.output_shape == (None, 2)


def test_freezing_leaves_later_blocks_and_the_head_trainable(vgg16: keras.Model) -> None:
    architectures.freeze_blocks(vgg16, 3)
    frozen = {layer.name[:6] for layer in vgg16.layers if layer.weights and not layer.trainable}
    free = {layer.name[:6] for layer in vgg16.layers if layer.weights and layer.trainable}
    assert frozen == {"block1", "block2", "block3"}
    assert free == {"block4", "block5", "hidden", "probab"}


@pytest.mark.long
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


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="known: cnn, densenet121, inceptionv3, resnet50, vgg16"):
        architectures.build("vgg99")


#: Parameters counted by hand or published (convolutions as Keras reports them, plus the head), blocks, a small size.
NETWORKS = {
    "cnn": (813_217, 2, 64),
    "resnet50": (23_587_712 + 2049 * 512 + 513 * 2, 5, 64),
    "inceptionv3": (21_802_784 + 2049 * 512 + 513 * 2, 5, 75),
    "densenet121": (7_037_504 + 1025 * 512 + 513 * 2, 5, 64),
}
BASES = {
    "resnet50": keras.applications.ResNet50,
    "inceptionv3": keras.applications.InceptionV3,
    "densenet121": keras.applications.DenseNet121,
}


Network = Callable[[str], keras.Model]


@pytest.fixture(scope="session")
def network(built: Callable[..., keras.Model]) -> Network:
    return lambda name: built(name, NETWORKS[name][2])


def count(layer: keras.layers.Layer) -> int:
    """A layer's number of parameters, from its settings and not from its variables."""
    channels = layer.input.shape[-1] if not isinstance(layer.input, list) else 0
    match layer:
        case keras.layers.Conv2D():
            height, width = layer.kernel_size
            return (height * width * channels + layer.use_bias) * layer.filters
        case keras.layers.BatchNormalization():
            return channels * (2 + layer.scale + layer.center)
        case keras.layers.Dense():
            return (channels + 1) * layer.units
        case _:
            return 0


LARGE = [pytest.param(name, marks=pytest.mark.training) for name in BASES]


@pytest.mark.parametrize("name", ["cnn", *LARGE])
def test_each_network_has_exactly_its_parameters_and_two_outputs(name: str, network: Network) -> None:
    expected, _, size = NETWORKS[name]
    model = network(name)
    assert model.count_params() == sum(count(layer) for layer in model.layers) == expected
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, 2)


def test_the_cnns_outputs_are_a_probability_and_its_complement(network: Network) -> None:
    assert architectures.CNN_PARAMETERS == 813_217
    inputs = np.random.default_rng(0).uniform(-2, 2, (5, 64, 64, 3)).astype("float32")
    model = network("cnn")
    outputs = np.asarray(model(inputs))
    probability = np.asarray(keras.Model(model.input, model.get_layer("pneumonia").output)(inputs))
    np.testing.assert_allclose(outputs, np.concatenate([1 - probability, probability], axis=1), atol=1e-6)
    assert len(np.unique(outputs[:, 1])) == 5


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [("cnn", 128, "64 pixels"), ("cnn", None, "any size"), ("inceptionv3", 64, "at least 75")],
)
def test_a_size_that_a_network_cannot_take_is_refused(name: str, size: int | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        architectures.build(name, size)


@pytest.mark.parametrize("name", ["cnn", *LARGE])
def test_blocks_are_frozen_in_order_and_the_head_never(name: str, network: Network) -> None:
    model, blocks = network(name), NETWORKS[name][1]
    before: set[str] = set()
    for frozen in range(1, blocks + 1):
        architectures.freeze_blocks(model, frozen)
        not_trainable = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
        assert not_trainable > before
        before = not_trainable
    names = {layer.name for layer in model.layers if layer.weights}
    assert names - before <= {"hidden", "pneumonia", "probabilities"}
    assert len(names - before) == 2
    with pytest.raises(ValueError, match=f"has {blocks} blocks"):
        architectures.freeze_blocks(model, blocks + 1)
    architectures.freeze_blocks(model, 0)
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("name", LARGE)
def test_imagenet_weights_give_the_features_of_keras_own_network(name: str, tmp_path: Path, network: Network) -> None:
    model, size = network(name), NETWORKS[name][2]
    source = BASES[name](include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, values.shape) for values in layer.get_weights()])
    source.save_weights(tmp_path / "base.weights.h5")
    image = rng.uniform(-1, 1, (1, size, size, 3)).astype("float32")
    pooled = keras.Model(model.input, model.get_layer("pool").output)
    expected = np.asarray(source(image)).mean(axis=(1, 2))
    assert not np.allclose(np.asarray(pooled(image)), expected, rtol=1e-2)
    architectures.load_imagenet_base(model, tmp_path / "base.weights.h5")
    np.testing.assert_allclose(np.asarray(pooled(image)), expected, rtol=1e-3, atol=1e-5)


def test_the_cnn_loads_the_weights_of_an_earlier_training(tmp_path: Path) -> None:
    earlier, model = architectures.build("cnn", 64), architectures.build("cnn", 64)
    earlier.save_weights(tmp_path / "earlier.weights.h5")
    architectures.load_imagenet_base(model, tmp_path / "earlier.weights.h5")
    for expected, loaded in zip(earlier.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, loaded)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("name", ["cnn", *LARGE[:1]])
def test_weights_of_another_network_are_refused(name: str, tmp_path: Path, network: Network) -> None:
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "text.weights.h5").write_text("no HDF5")
    for file in ("other", "text"):
        with pytest.raises(ValueError, match=f"{file}.weights.h5 does not hold weights of {name}"):
            architectures.load_imagenet_base(network(name), tmp_path / f"{file}.weights.h5")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        architectures.load_imagenet_base(network(name), tmp_path / "missing.weights.h5")


@pytest.mark.training
def test_a_bundle_keeps_the_statistics_of_batch_normalisation(tmp_path: Path, network: Network) -> None:
    """Keras would name InceptionV3's layers differently each time, and float16 could not hold these statistics."""
    model = network("inceptionv3")
    rng = np.random.default_rng(0)
    statistics = [v for v in model.weights if v.path.endswith(("moving_mean", "moving_variance"))]
    assert len(statistics) == 2 * 94
    for variable in statistics:
        variable.assign(10 ** rng.uniform(-9, 6, variable.shape))
    written = bundle.write(tmp_path, model, {
        "name": "x", "version": "0.0.1", "architecture": "inceptionv3", "classes": list(data.CLASSES),
        "preprocessing": {"size": 75, "scaling": "symmetric"}, "threshold": 0.5,
    })  # fmt: skip
    loaded = written.load_model()
    for expected, variable in zip(model.weights, loaded.weights, strict=True):
        assert expected.path == variable.path
        if "moving_" in expected.path:
            np.testing.assert_array_equal(np.asarray(expected), np.asarray(variable))
        else:
            np.testing.assert_allclose(np.asarray(expected), np.asarray(variable), rtol=1e-3, atol=1e-7)
