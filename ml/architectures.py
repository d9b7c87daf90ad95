"""The networks, by name. All are built with Keras's own API and run on any Keras backend."""

from collections.abc import Callable
from pathlib import Path

import keras

from ml.data import CLASSES

VGG16_PARAMETERS = 14_978_370


def build(name: str, size: int | None = 224) -> keras.Model:
    """A new network with random weights.

    Args:
        name: a key of :data:`REGISTRY`.
        size: side of the square input; None for a network that takes any size, where it can.

    Returns:
        A model from ``(n, size, size, 3)`` to ``(n, 2)``: the probabilities of normal and pneumonia.

    Raises:
        ValueError: for an unknown name.
    """
    try:
        return REGISTRY[name](size)
    except KeyError:
        raise ValueError(f"unknown architecture {name!r}; known: {', '.join(sorted(REGISTRY))}") from None


def vgg16(size: int | None = 224) -> keras.Model:
    """VGG16's convolutions, global average pooling, Dense 512 and two sigmoid outputs (14,978,370 parameters).

    Source: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.
    """
    inputs = keras.Input((size, size, 3), name="image")
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=inputs)
    features = keras.layers.GlobalAveragePooling2D(name="pool")(base.output)
    hidden = keras.layers.Dense(512, activation="relu", name="hidden")(features)
    # Dropout holds no parameters and does nothing when serving.
    hidden = keras.layers.Dropout(0.3, name="dropout")(hidden)
    outputs = keras.layers.Dense(len(CLASSES), activation="sigmoid", dtype="float32", name="probabilities")(hidden)
    return keras.Model(inputs, outputs, name="vgg16")


def load_imagenet_base(model: keras.Model, weights: Path) -> None:
    """Copy ImageNet's convolution weights (Keras's "notop" HDF5 file) into ``model`` by layer name."""
    base = keras.applications.VGG16(include_top=False, weights=str(weights))
    for layer in base.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def freeze_blocks(model: keras.Model, blocks: int) -> None:
    """Make the convolutions of the first ``blocks`` blocks untrainable."""
    for layer in model.layers:
        if layer.name.startswith("block") and layer.weights:
            layer.trainable = int(layer.name[len("block")]) > blocks


REGISTRY: dict[str, Callable[[int | None], keras.Model]] = {"vgg16": vgg16}
