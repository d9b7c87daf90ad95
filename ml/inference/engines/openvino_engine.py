"""OpenVINO on the CPU, in 8-bit integers, for processors with instructions for these (VNNI, AMX).

The network is built from the bundle's weights at each start. The bundle holds the range of each channel before each
convolution (``python -m ml quantize``). Only OpenVINO's runtime is used, not its converter, which can report its use
to the vendor.
"""

from collections.abc import Mapping
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle, sha256
from ml.errors import BundleError
from ml.inference.engines import convolutions
from ml.inference.engines.interface import INT8
from ml.inference.engines.trunk import Floats, TrunkEngine
from ml.pictures.preprocess import SCALINGS

#: The quantized convolutions. The first one, which takes the image, needs little time and stays in float32.
QUANTIZED = list(chain(*convolutions.BLOCKS))[1:]
FILE = "int8.npz"
#: The numbers of levels of a value and of a weight. Only half of a value's levels are used: with all of them, the sum
#: of two products would not fit into the 16 bits in which processors without VNNI add.
VALUE_LEVELS, VALUE_SHARE, WEIGHT_LEVELS = 256, 2, 255
#: The smallest range of a channel that is used, as a part of the largest range.
LEAST = 1e-3


class OpenVinoEngine(TrunkEngine):
    """A VGG16 bundle in OpenVINO, in int8. See :class:`ml.inference.engines.trunk.TrunkEngine`."""

    name, library, tolerance = "openvino", "OpenVINO", 0.1
    # Each thread computes one image at a time. If other programs delay a thread, the others wait only at the end.
    together = 16  # or the number of threads, if that is larger

    def _load(self, bundle: Bundle, weights: Mapping[str, Floats], threads: int) -> None:
        import openvino as ov

        self._threads, self.together = threads, max(self.together, threads)
        balanced, ranges = balance(weights, load_ranges(bundle))
        model = graph(balanced, ranges)
        self._alone = compile_model(model, threads)
        # Threads that share an image would wait for each other, and occupy processors that other programs need.
        self._together = ov.AsyncInferQueue(compile_model(model, threads, streams=threads), threads)

    def _last_map(self, batch: NDArray[np.uint8]) -> Floats:
        images = channels_first(batch, self._scaling)
        if len(images) < max(self._threads, 2):
            # Some threads would have no image of their own, so all of them share one image after the other.
            parts = [self._alone(images[index : index + 1])[0].copy() for index in range(len(images))]
            return np.concatenate(parts).astype(np.float32, copy=False)
        maps: dict[int, Floats] = {}

        def keep(request: Any, index: int) -> None:
            maps[index] = request.get_output_tensor(0).data.copy()

        self._together.set_callback(keep)
        for index in range(len(images)):
            self._together.start_async({0: images[index : index + 1]}, index)
        self._together.wait_all()
        return np.concatenate([maps[index] for index in range(len(images))])


def load_ranges(bundle: Bundle) -> dict[str, Floats]:
    """Load a bundle's ranges: the largest value of each channel before each convolution of :data:`QUANTIZED`.

    Raises:
        BundleError: if the file is missing or its checksum is wrong.
    """
    file = bundle.path / FILE
    if not file.exists() or sha256(file) != bundle.meta[INT8]["sha256"]:
        raise BundleError(f"{file} is missing, or not what bundle.json says")
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def balance(weights: Mapping[str, Floats], largest: Mapping[str, Floats]) -> tuple[dict[str, Floats], dict[str, float]]:
    """An equivalent network whose channels have similar ranges, so that the same quantization levels suit all of them.

    The outputs of a convolution are divided by factors, and the next convolution's weights are multiplied by them: ReLU
    and max pooling commute with positive factors. The square root splits the differences between values and weights
    (Xiao et al., "SmoothQuant", 2023).

    Returns:
        The network's weights, and the largest value before each convolution.
    """
    balanced, ranges = dict(weights), {}
    for before, layer in pairwise(chain(*convolutions.BLOCKS)):
        relative_range = np.maximum(largest[layer] / largest[layer].max(), LEAST)
        factors = np.sqrt(relative_range).astype(np.float32)
        for part in (f"{before}/kernel", f"{before}/bias"):
            balanced[part] = balanced[part] / factors
        balanced[f"{layer}/kernel"] = balanced[f"{layer}/kernel"] * factors[:, np.newaxis]
        ranges[layer] = float((largest[layer] / factors).max())
    return balanced, ranges


def channels_first(batch: NDArray[np.uint8], scaling: str) -> Floats:
    """The output of :func:`ml.pictures.preprocess.to_tensor` as ``(n, 3, size, size)``, without a second copy."""
    offset, scale = SCALINGS[scaling]
    values = batch[:, np.newaxis].astype(np.float32) - offset[:, np.newaxis, np.newaxis]
    return values if scale is None else values / scale[:, np.newaxis, np.newaxis]


def graph(weights: Mapping[str, Floats], ranges: Mapping[str, float] | None) -> Any:
    """A model of the convolutions, from ``(n, 3, size, size)`` to the last feature map.

    Args:
        weights: the bundle's weights.
        ranges: the largest value before each convolution except the first; None for float32.
    """
    import openvino as ov
    from openvino import opset8 as op

    image = op.parameter([-1, 3, -1, -1], np.float32, name="image")
    values: Any = image
    following = dict(pairwise(chain(*convolutions.BLOCKS)))
    for block, layers in enumerate(convolutions.BLOCKS):
        if block:
            values = op.max_pool(values, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        for layer in layers:
            kernel: Any = op.constant(np.ascontiguousarray(weights[f"{layer}/kernel"].transpose(3, 2, 0, 1)))
            if ranges is not None and layer in QUANTIZED:
                kernel = _quantized(kernel)
            bias = op.constant(weights[f"{layer}/bias"].reshape(1, -1, 1, 1))
            values = op.relu(op.add(op.convolution(values, kernel, [1, 1], [1, 1], [1, 1], [1, 1]), bias))
            if ranges is not None and layer in following:
                # Quantized before pooling, which keeps the largest value, so that no convolution writes float32.
                upper = np.float32(ranges[following[layer]] * VALUE_SHARE)
                values = op.fake_quantize(values, np.float32(0), upper, np.float32(0), upper, VALUE_LEVELS)
    return ov.Model([op.result(values)], [image], "trunk")


def compile_model(model: Any, threads: int, *, streams: int = 1) -> Any:
    """Compile a model for the CPU. Operations that are not quantized stay in float32.

    Args:
        model: the model, from :func:`graph`.
        threads: the total number of threads.
        streams: the number of requests that run in parallel and share the threads.
    """
    import openvino as ov

    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(model, "CPU", options)


def _quantized(kernel: Any) -> Any:
    """A kernel ``(c', c, 3, 3)`` quantized for each output channel, by the channel's largest weight."""
    from openvino import opset8 as op

    largest = np.abs(kernel.data).max(axis=(1, 2, 3), keepdims=True)
    low, high = op.constant(-largest), op.constant(largest)
    return op.fake_quantize(kernel, low, high, low, high, WEIGHT_LEVELS)
