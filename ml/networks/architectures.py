"""The networks, by name. All are built with the Keras API and run on any Keras backend."""

import re
from collections.abc import Callable
from pathlib import Path

import keras

from ml.dataset.data import CLASSES

VGG16_PARAMETERS = 14_978_370
CNN_PARAMETERS = 813_217
CNN_SIZE = 64
INCEPTION_MIN = 75
#: Layers with weights after the convolutions.
HEAD = ("hidden", "pneumonia", "probabilities")


def build(name: str, size: int | None = 224) -> keras.Model:
    """Build a network with random weights.

    Args:
        name: a key of :data:`REGISTRY`.
        size: side of the square input; None for any size, if the network supports it.

    Returns:
        A model from ``(n, size, size, 3)`` to ``(n, 2)``: the probabilities of normal and pneumonia.

    Raises:
        ValueError: the name is unknown, or the network cannot take the size.
    """
    check(name)
    return REGISTRY[name](size)


def check(name: str) -> None:
    """Raise a ValueError that lists the known networks if ``name`` is not one of them."""
    if name not in REGISTRY:
        raise ValueError(f"unknown architecture {name!r}; known: {', '.join(sorted(REGISTRY))}")


def vgg16(size: int | None = 224) -> keras.Model:
    """VGG16's convolutions and the report's head (14,978,370 parameters).

    Source: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.
    """
    inputs = _image(size)
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=inputs)
    return _with_head(inputs, base.output, "vgg16")


def resnet50(size: int | None = 224) -> keras.Model:
    """ResNet50's convolutions and the report's head (24,637,826 parameters).

    Source: He et al., "Deep Residual Learning for Image Recognition", 2015.
    """
    inputs = _image(size)
    base = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=inputs)
    return _with_head(inputs, base.output, "resnet50")


def inceptionv3(size: int | None = 299) -> keras.Model:
    """InceptionV3's convolutions and the report's head (22,852,898 parameters).

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015.

    Raises:
        ValueError: for images under 75 pixels, which the network's reductions would reduce to nothing.
    """
    if size is not None and size < INCEPTION_MIN:
        raise ValueError(f"inceptionv3 takes images of at least {INCEPTION_MIN} pixels, not {size}")
    inputs = _image(size)
    base = keras.applications.InceptionV3(include_top=False, weights=None, input_tensor=inputs)
    # Keras numbers these layers across the whole process. Bundles need names that are always the same.
    names = _inception_names(base)

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "name": names[layer.name]})

    base = keras.models.clone_model(base, input_tensors=[inputs], clone_function=renamed)
    return _with_head(inputs, base.output, "inceptionv3")


def densenet121(size: int | None = 224) -> keras.Model:
    """DenseNet121's convolutions, as in CheXNet, and the report's head (7,563,330 parameters).

    Sources: Huang et al., "Densely Connected Convolutional Networks", 2016; Rajpurkar et al., "CheXNet:
    Radiologist-Level Pneumonia Detection on Chest X-Rays with Deep Learning", 2017 (its head has one layer).
    """
    inputs = _image(size)
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=inputs)
    return _with_head(inputs, base.output, "densenet121")


def cnn(size: int | None = 64) -> keras.Model:
    """The report's small network: two convolutions, Dense 128, one sigmoid output p (813,217 parameters).

    The outputs are (1 - p, p), which takes no further parameter.

    Raises:
        ValueError: for a size other than 64, on which the number of parameters depends.
    """
    if size != CNN_SIZE:
        raise ValueError(f"cnn takes images of {CNN_SIZE} pixels and no other size, not {size or 'any size'}")
    layers = keras.layers
    inputs = values = _image(size)
    for block in (1, 2):
        values = layers.Conv2D(32, 3, activation="relu", name=f"block{block}_conv1")(values)
        values = layers.MaxPooling2D(2, name=f"block{block}_pool")(values)
    hidden = layers.Dense(128, activation="relu", name="hidden")(layers.Flatten(name="flatten")(values))
    pneumonia = layers.Dense(1, activation="sigmoid", dtype="float32", name="pneumonia")(hidden)
    normal = layers.Rescaling(-1.0, offset=1.0, dtype="float32", name="normal")(pneumonia)
    outputs = layers.Concatenate(dtype="float32", name="probabilities")([normal, pneumonia])
    return keras.Model(inputs, outputs, name="cnn")


def load_imagenet_base(model: keras.Model, weights: Path) -> None:
    """Load pretrained weights into ``model``.

    Args:
        model: from :func:`build`.
        weights: Keras' HDF5 file of the convolutions trained on ImageNet ("notop"). For the CNN, which has no ImageNet
            weights, a file of the whole network from ``model.save_weights``.

    Raises:
        ValueError: the file does not fit the network.
        FileNotFoundError: the file is missing.
    """
    if not weights.is_file():
        raise FileNotFoundError(f"there are no weights at {weights}")
    try:
        if model.name not in _BASES:
            model.load_weights(weights)
            return
        base = _BASES[model.name](include_top=False, weights=str(weights))
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{weights} does not hold weights of {model.name}'s convolutions: {error}") from error
    # Match layers by order, which is the same in both. The names differ for InceptionV3.
    for source, layer in zip(_with_weights(base), _with_weights(model), strict=False):
        layer.set_weights(source.get_weights())


def freeze_blocks(model: keras.Model, blocks: int) -> None:
    """Make the convolutions of the first ``blocks`` blocks untrainable.

    A frozen batch normalisation also keeps its statistics. A block ends where the image is halved. The CNN has two
    blocks, every other network five.

    Raises:
        ValueError: the network has fewer blocks.
    """
    block_of = {layer.name: _block(layer.name) for layer in _with_weights(model)}
    last = max(block_of.values())
    if blocks > last:
        raise ValueError(f"{model.name} has {last} blocks; {blocks} cannot be frozen")
    for layer in _with_weights(model):
        if layer.name not in HEAD:
            # Layers without a block, such as DenseNet's last normalisation, come last.
            layer.trainable = (block_of[layer.name] or last) > blocks


def _image(size: int | None) -> keras.KerasTensor:
    return keras.Input((size, size, 3), name="image")


def _with_head(inputs: keras.KerasTensor, features: keras.KerasTensor, name: str) -> keras.Model:
    """Global average pooling, Dense 512 and two sigmoid outputs."""
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    hidden = keras.layers.Dense(512, activation="relu", name="hidden")(pooled)
    # Dropout has no parameters and does nothing during serving.
    hidden = keras.layers.Dropout(0.3, name="dropout")(hidden)
    outputs = keras.layers.Dense(len(CLASSES), activation="sigmoid", dtype="float32", name="probabilities")(hidden)
    return keras.Model(inputs, outputs, name=name)


def _inception_names(base: keras.Model) -> dict[str, str]:
    """Map each layer's name to a name with its block and its place in the block."""
    names: dict[str, str] = {}
    block, place = 1, 0
    for layer in base.layers:
        place += 1
        kind = type(layer).__name__.lower()
        names[layer.name] = layer.name if isinstance(layer, keras.layers.InputLayer) else f"block{block}_{kind}_{place}"
        # The stem halves the image twice by pooling. mixed2 and mixed7 are the last layers before the next halvings.
        in_stem = block < 3 and isinstance(layer, keras.layers.MaxPooling2D)
        if in_stem or layer.name in ("mixed2", "mixed7"):
            block, place = block + 1, 0
    return names


def _block(name: str) -> int:
    """The block of a layer, from its name; 0 for a layer without a block."""
    found = re.match(r"(?:block|conv|pool)(\d)_", name)
    return int(found.group(1)) if found else 0


def _with_weights(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


REGISTRY: dict[str, Callable[[int | None], keras.Model]] = {
    "vgg16": vgg16,
    "resnet50": resnet50,
    "cnn": cnn,
    "inceptionv3": inceptionv3,
    "densenet121": densenet121,
}
#: Architectures for which Keras has convolutions trained on ImageNet.
_BASES: dict[str, Callable[..., keras.Model]] = {
    "vgg16": keras.applications.VGG16,
    "resnet50": keras.applications.ResNet50,
    "inceptionv3": keras.applications.InceptionV3,
    "densenet121": keras.applications.DenseNet121,
}
