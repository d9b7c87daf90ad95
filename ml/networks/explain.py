"""Grad-CAM: which places in an image raised the probability.

The map is Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2017) of pneumonia's output before its sigmoid, at the network's last feature map. The network is split
there: the trunk runs once, forwards only, and the gradient is computed through the small head alone. A map therefore
costs almost nothing, and every reading has one.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

#: Keras backends that compute gradients.
BACKENDS = ("tensorflow", "jax", "torch")
#: Index of pneumonia among the network's outputs.
PNEUMONIA = 1
#: Layers whose output is only a coarser, thinned or padded copy of their input map.
REPEATING = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)

Tensor = Any
Outputs = tuple[Tensor, Tensor, Tensor]


def last_map(model: keras.Model) -> keras.layers.Layer:
    """The layer that computes the network's last feature map, before pooling.

    Raises:
        ValueError: the network has no feature map.
    """
    maps = [
        layer
        for layer in model.layers
        if not isinstance(layer, (keras.layers.InputLayer, *REPEATING)) and len(layer.output.shape) == 4
    ]
    if not maps:
        raise ValueError(f"{model.name} has no feature map to explain a reading with")
    return maps[-1]


def reader(model: keras.Model, policy: str = "float32") -> Callable[[Tensor], Outputs]:
    """Split a network so that one pass gives probabilities, features and maps.

    Args:
        model: maps ``(n, size, size, 3)`` to ``(n, 2)`` probabilities, the second of pneumonia.
        policy: the Keras dtype policy of the trunk, such as ``mixed_bfloat16``. The head stays as it is.

    Returns:
        A compiled function of a batch of images, of any length. It returns arrays of Keras' backend: probabilities
        ``(n, 2)``; the last feature map's ``c`` channels averaged over each quarter of the image, ``(n, 4c)``; Grad-CAM
        ``(n, h, w)``, at least 0, scaled so that the mean of a map is the sum of its places' contributions to the
        logit, as far as the head is linear.

    Raises:
        ValueError: the network has no feature map, or Keras' backend computes no gradients.
    """
    if (backend := keras.backend.backend()) not in BACKENDS:
        raise ValueError(f"a reading cannot be explained on Keras' backend {backend}; use {', '.join(BACKENDS)}")
    cut = last_map(model).output
    trunk = keras.Model(model.inputs, cut)
    if policy != "float32":
        trunk = _with_policy(trunk, policy)
    head = _head(model, cut)

    def read(images: Tensor) -> Outputs:
        features = ops.cast(trunk(images, training=False), "float32")
        probabilities, slope = _gradient(head, features)
        weights = ops.sum(slope, axis=(1, 2), keepdims=True)
        return probabilities, _quarters(features), ops.relu(ops.sum(weights * features, axis=-1))

    return _compiled(read, model.inputs[0].shape)


def _with_policy(model: keras.Model, policy: str) -> keras.Model:
    """A copy of a network with the same weights, which computes by another dtype policy."""

    def changed(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": policy})

    copy = keras.models.clone_model(model, clone_function=changed)
    copy.set_weights(model.get_weights())
    return copy


def _head(model: keras.Model, feature_map: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function from the feature map to pneumonia's logit ``(n,)`` and the probabilities ``(n, 2)``."""
    last = model.layers[-1]
    squashing = (keras.activations.sigmoid, keras.activations.softmax)
    if last.output is model.output and isinstance(last, keras.layers.Dense) and last.activation in squashing:
        hidden = keras.Model(feature_map, last.input)

        def head(values: Tensor) -> tuple[Tensor, Tensor]:
            logits = ops.matmul(hidden(values, training=False), last.kernel) + last.bias
            return logits[:, PNEUMONIA], last.activation(logits)

        return head
    whole = keras.Model(feature_map, model.output)

    def head_from_outside(values: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = whole(values, training=False)
        pneumonia = ops.clip(probabilities[:, PNEUMONIA], 1e-7, 1 - 1e-7)
        return ops.log(pneumonia) - ops.log1p(-pneumonia), probabilities

    return head_from_outside


def _quarters(features: Tensor) -> Tensor:
    """Average ``(n, h, w, c)`` over each quarter of the image. Quarters share the middle line of an odd side."""
    height, width = features.shape[1:3]
    rows = (features[:, : (height + 1) // 2], features[:, height // 2 :])
    parts = [part for row in rows for part in (row[:, :, : (width + 1) // 2], row[:, :, width // 2 :])]
    return ops.concatenate([ops.mean(part, axis=(1, 2)) for part in parts], axis=1)


def _gradient(head: Callable[[Tensor], tuple[Tensor, Tensor]], features: Tensor) -> tuple[Tensor, Tensor]:
    """The head's probabilities, and the gradient of each image's logit with respect to its own feature map."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(features)
                logits, probabilities = head(features)
            return probabilities, tape.gradient(logits, features)
        case "jax":
            import jax

            def total(values: Tensor) -> tuple[Tensor, Tensor]:
                logits, probabilities = head(values)
                return logits.sum(), probabilities

            slope, probabilities = jax.grad(total, has_aux=True)(features)
            return probabilities, slope
        case _:
            import torch

            with torch.enable_grad():
                features = features.detach().requires_grad_()
                logits, probabilities = head(features)
                (slope,) = torch.autograd.grad(logits.sum(), features)
            return probabilities.detach(), slope


def _compiled(read: Callable[[Tensor], Outputs], shape: tuple[int | None, ...]) -> Callable[[Tensor], Outputs]:
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            # The signature leaves the length of the batch open, so the function is traced only once. On a CPU, XLA's
            # convolutions have a third of the speed of oneDNN's.
            compiled: Callable[[Tensor], Outputs] = tf.function(
                read, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False, jit_compile=False
            )
            return compiled
        case "jax":
            import jax

            return jax.jit(read)
        case _:
            import torch

            return torch.no_grad()(read)
