"""Maps show where the evidence is: where it was planted, where covering matters, and depending on the weights."""

from collections.abc import Callable, Iterable

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference import engines, heatmaps
from ml.inference.engines import Engine
from ml.inference.predict import load_input
from ml.networks import architectures, explain
from ml.pictures.preprocess import to_input, to_tensor
from tests import synthetic
from tests.conftest import DATA, NO_DATA
from tests.ml.test_evidence import BUNDLE
from tests.service import bundle

SIDE = 32
#: Rows and columns of the planted square.
PLANTED = (slice(20, 28), slice(4, 12))


def finder(build_head: Callable[[keras.KerasTensor], keras.KerasTensor]) -> keras.Model:
    """A network with two channels, for bright and for dark places, and the given head."""
    inputs = keras.Input((SIDE, SIDE, 3))
    features = layers.Conv2D(2, 3, padding="same", activation="relu", name="last")(inputs)
    model = keras.Model(inputs, build_head(features))
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[..., 0], kernel[..., 1] = 1 / 27, -1 / 27
    model.get_layer("last").set_weights([kernel, np.zeros(2, np.float32)])
    return model


def dense(values: keras.KerasTensor, per_channel: int = 1) -> keras.KerasTensor:
    """Brightness speaks for pneumonia, darkness against it."""
    kernel = np.tile(np.array([[-1, 1], [1, -1]], np.float32), (per_channel, 1)) / per_channel
    return layers.Dense(2, "sigmoid", kernel_initializer=lambda shape, dtype: ops.convert_to_tensor(kernel))(values)


def pooled(features: keras.KerasTensor) -> keras.KerasTensor:
    return dense(layers.GlobalAveragePooling2D()(features))


def with_dropout(features: keras.KerasTensor) -> keras.KerasTensor:
    values = layers.Dropout(0.5)(layers.MaxPooling2D()(features))
    return dense(layers.Flatten()(values), (SIDE // 2) ** 2)


def one_output(features: keras.KerasTensor) -> keras.KerasTensor:
    """The head of a network with a single sigmoid, extended to give both probabilities."""
    values = layers.GlobalAveragePooling2D()(features)
    kernel = np.array([[1], [-1]], np.float32)
    start = {"kernel_initializer": lambda shape, dtype: ops.convert_to_tensor(kernel)}
    probability = layers.Dense(1, "sigmoid", **start)(values)
    return layers.Concatenate()([layers.Rescaling(-1, 1)(probability), probability])


def planted(brightness: float) -> NDArray[np.float32]:
    image = np.zeros((1, SIDE, SIDE, 3), np.float32)
    image[0][PLANTED] = brightness
    return image


def maps(model: keras.Model, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities of pneumonia, and maps."""
    probabilities, _, found = (keras.ops.convert_to_numpy(part) for part in explain.reader(model)(images))
    return probabilities[:, 1], found


HEADS = pytest.mark.parametrize(
    "head", [pooled, *(pytest.param(head, marks=pytest.mark.long) for head in (with_dropout, one_output))]
)


@HEADS
def test_the_map_shows_planted_evidence_in_its_place(head: Callable[..., keras.KerasTensor]) -> None:
    model = finder(head)
    image = planted(9.0)
    probability, [found] = maps(model, image)
    assert probability[0] > 0.5
    assert probability == pytest.approx(keras.ops.convert_to_numpy(model(image))[:, 1])
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert PLANTED[0].start <= row < PLANTED[0].stop
    assert PLANTED[1].start <= column < PLANTED[1].stop
    assert found[PLANTED].sum() > 0.6 * found.sum() > 0


@HEADS
def test_evidence_against_pneumonia_is_not_in_the_map(head: Callable[..., keras.KerasTensor]) -> None:
    probability, [found] = maps(finder(head), planted(-9.0))
    assert probability[0] < 0.5
    assert found.max() == 0


def test_a_map_adds_up_to_the_logit_if_the_head_is_linear() -> None:
    [probability], [found] = maps(finder(pooled), planted(9.0))
    assert found.mean() == pytest.approx(np.log(probability / (1 - probability)), rel=1e-4)


def test_a_certain_reading_has_a_map_too() -> None:
    """The map is that of the logit. The sigmoid's own gradient has vanished long before."""
    [probability], [found] = maps(finder(pooled), planted(1e5))
    assert probability == 1.0
    assert found[PLANTED].sum() > 0.6 * found.sum() > 0


def test_a_network_without_a_feature_map_is_refused() -> None:
    inputs = keras.Input((SIDE, SIDE, 3))
    with pytest.raises(ValueError, match="no feature map"):
        explain.reader(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs))))


@pytest.mark.training
@pytest.mark.parametrize(
    ("name", "shape"), [("ResNet50", (3, 3, 2048)), ("DenseNet121", (3, 3, 1024)), ("InceptionV3", (1, 1, 2048))]
)
def test_networks_with_branches_have_maps_and_features_too(name: str, shape: tuple[int, int, int]) -> None:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((96, 96, 3))
    base = getattr(keras.applications, name)(include_top=False, weights=None, input_tensor=inputs)
    values = layers.Dense(16, "relu")(layers.GlobalAveragePooling2D()(base.output))
    model = keras.Model(inputs, layers.Dense(2, "sigmoid")(values))
    images = np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype(np.float32)
    outputs = [keras.ops.convert_to_numpy(part) for part in explain.reader(model)(images)]
    height, width, channels = shape
    assert [part.shape for part in outputs] == [(2, 2), (2, 4 * channels), (2, height, width)]
    np.testing.assert_allclose(outputs[0], keras.ops.convert_to_numpy(model(images, training=False)), atol=1e-4)


def test_features_differ_between_quarters() -> None:
    _, features, _ = explain.reader(finder(pooled))(planted(9.0))
    bright = keras.ops.convert_to_numpy(features)[0].reshape(4, 2)[:, 0]
    assert bright.argmax() == 2, "the planted square is in the lower left quarter"
    assert bright[2] > 10 * np.delete(bright, 2).max()


def test_the_quarters_of_an_odd_map_share_its_middle() -> None:
    inputs = keras.Input((3, 3, 3))
    outputs = layers.Dense(2, "sigmoid")(layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1, name="last")(inputs)))
    model = keras.Model(inputs, outputs)
    model.get_layer("last").set_weights([np.full((1, 1, 3, 1), 1 / 3, np.float32), np.zeros(1, np.float32)])
    image = np.zeros((1, 3, 3, 3), np.float32)
    image[0, 1, 1] = 4
    _, features, _ = explain.reader(model)(image)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(features)[0], [1, 1, 1, 1], rtol=1e-6)


@pytest.mark.long
def test_a_batch_is_read_like_single_images(random_bundle: Bundle) -> None:
    engine = engines.load(random_bundle.path)
    engine.warm_up(4)
    batch = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    together = engine.read(batch)
    assert together.probabilities.shape == (5, 2)
    assert together.features.shape == (5, 4 * 512)
    assert together.maps.shape == (5, 4, 4)
    assert together.maps.min() >= 0
    np.testing.assert_allclose(together.probabilities, engine.predict(batch), atol=1e-5)
    for number in range(5):
        alone = engine.read(batch[number : number + 1])
        for name in ("probabilities", "features", "maps"):
            one, other = getattr(alone, name)[0], getattr(together, name)[number]
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * max(1e-3, np.abs(other).max()))


# --- the released network -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released() -> Bundle:
    return Bundle.read(bundle())


@pytest.fixture(scope="module")
def engine(released: Bundle) -> Engine:
    return engines.load(released.path)


@pytest.fixture(scope="module")
def chests(released: Bundle) -> NDArray[np.uint8]:
    return np.stack([to_input(synthetic.xray(seed), released.preprocessing) for seed in range(3)])


def log_odds(engine: Engine, batch: NDArray[np.uint8]) -> NDArray[np.float64]:
    probabilities = np.concatenate([engine.read(batch[i : i + 16]).probabilities for i in range(0, len(batch), 16)])
    pneumonia = np.clip(probabilities[:, 1].astype(float), 1e-7, 1 - 1e-7)
    return np.log(pneumonia / (1 - pneumonia))


def cover(chest: NDArray[np.uint8], numbers: Iterable[int], grid: int = 7) -> NDArray[np.uint8]:
    """The image with some of its ``grid`` by ``grid`` parts covered with the image's mean grey."""
    part, covered = len(chest) // grid, chest.copy()
    for row, column in (divmod(int(number), grid) for number in numbers):
        covered[row * part : (row + 1) * part, column * part : (column + 1) * part] = round(float(chest.mean()))
    return covered


def occlusion(engine: Engine, chest: NDArray[np.uint8], grid: int = 7) -> NDArray[np.float64]:
    """Fall of the evidence when each part of the image is covered. This needs no gradient.

    Source: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
    """
    covered = np.stack([cover(chest, [number], grid) for number in range(grid * grid)])
    return (log_odds(engine, chest[np.newaxis]) - log_odds(engine, covered)).reshape(grid, grid)


def ranks(values: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argsort(np.argsort(values.ravel()))


def parts(found: NDArray[np.float32], grid: int = 7) -> NDArray[np.float64]:
    """A map's mean in each part that :func:`occlusion` covers."""
    side = len(found) // grid
    return found.reshape(grid, side, grid, side).mean(axis=(1, 3))


@pytest.mark.training
def test_covering_the_strongest_parts_of_the_map_removes_the_evidence(engine: Engine, released: Bundle) -> None:
    """This needs no gradient. Drawings are summed: the network did not learn from any, so some maps may be faint."""
    strongest = weakest = 0.0
    for seed in range(6):
        chest = to_input(synthetic.xray(seed), released.preprocessing)
        order = np.argsort(parts(engine.read(chest[np.newaxis]).maps[0]).ravel())
        variants = np.stack([chest, cover(chest, order[-8:]), cover(chest, order[:8])])
        whole, without_strongest, without_weakest = log_odds(engine, variants)
        strongest += whole - without_strongest
        weakest += whole - without_weakest
    assert strongest > max(2 * weakest, 1)


@pytest.mark.training
@pytest.mark.real_data
def test_covering_parts_one_by_one_ranks_them_as_the_map_does(engine: Engine, released: Bundle) -> None:
    files = sorted(DATA.glob("originals/PNEUMONIA/*.jpeg"))[::5]
    if not files:
        pytest.skip(NO_DATA)
    correlations = []
    for file in files:
        pneumonia = load_input(file, released.preprocessing)
        coarse, fall = parts(engine.read(pneumonia[np.newaxis]).maps[0]), occlusion(engine, pneumonia)
        correlations.append(np.corrcoef(ranks(coarse), ranks(fall))[0, 1])
    print("rank correlations of maps and occlusion:", np.round(sorted(correlations), 2))
    assert np.median(correlations) > 0.5
    assert min(correlations) > 0.2


@pytest.mark.long
def test_a_map_depends_on_the_weights() -> None:
    """A map that stayed the same with random weights would show the image, not the network.

    Uses a network that finds evidence in drawn chests, because maps without evidence are alike.

    Source: Adebayo et al., "Sanity Checks for Saliency Maps", 2018.
    """
    engine, model = engines.load(BUNDLE.path), BUNDLE.load_model()
    chests = np.stack([to_input(synthetic.xray(seed), BUNDLE.preprocessing) for seed in range(3)])
    rng = np.random.default_rng(1)
    for layer in model.layers[-12:]:
        layer.set_weights([rng.permutation(array.ravel()).reshape(array.shape) for array in layer.get_weights()])
    _, _, scrambled = explain.reader(model)(to_tensor(chests))
    for one, other in zip(engine.read(chests).maps, keras.ops.convert_to_numpy(scrambled), strict=True):
        assert abs(np.corrcoef(ranks(one), ranks(other))[0, 1]) < 0.5


# --- drawn maps -----------------------------------------------------------------------------------------------------


def test_the_strongest_place_is_opaque_unless_all_evidence_is_weak() -> None:
    strong = np.zeros((14, 14), np.float32)
    strong[3, 5], strong[4, 5] = 5 * heatmaps.STRONG, heatmaps.STRONG
    drawn = heatmaps.to_bytes(np.stack([strong, strong / 20, np.zeros_like(strong)]))
    assert drawn.dtype == np.uint8
    assert (drawn[0, 3, 5], drawn[0, 4, 5], drawn[0].sum()) == (255, 51, 306)
    assert drawn[1].max() == 64
    assert drawn[2].max() == 0


def test_an_overlay_is_as_large_as_the_image_and_as_opaque_as_the_map() -> None:
    heatmap = np.zeros((14, 14), np.uint8)
    heatmap[2:5, 9:12] = 255
    picture = heatmaps.overlay(heatmap, (280, 140), (0, 0, 280, 140))
    assert (picture.mode, picture.size) == ("RGBA", (280, 140))
    pixels = np.asarray(picture)
    assert (pixels[..., :3] == heatmaps.COLOUR).all()
    assert pixels[35, 210, 3] == 255
    assert pixels[120, 40, 3] == 0


def test_an_overlay_covers_only_the_part_that_was_read() -> None:
    picture = heatmaps.overlay(np.full((14, 14), 255, np.uint8), (280, 140), (70, 0, 210, 130))
    opaque = np.asarray(picture)[..., 3] > 0
    assert opaque[:130, 70:210].all()
    assert opaque.sum() == 130 * 140


def test_a_backend_without_gradients_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    network = architectures.build("cnn", 64)
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ValueError, match="use tensorflow, jax, torch"):
        explain.reader(network)
