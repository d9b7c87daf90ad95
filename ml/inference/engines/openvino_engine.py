"""OpenVINO on the processor, in 8-bit integers: for processors with instructions for them (VNNI, AMX).

The network is built from the bundle's weights at each start. A bundle says how far the values of each channel before
each convolution reach (``python -m ml quantize``). Only OpenVINO's runtime is used, and not its converter, which can
report its use.
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

#: The convolutions in integers. The first one sees the image, has next to nothing to compute, and stays in float32.
QUANTIZED = list(chain(*convolutions.BLOCKS))[1:]
FILE = "int8.npz"
#: The steps of a value, and of a weight. Half of a value's are used: sums of two products with all of them do not fit
#: into the 16 bits that processors without VNNI add them in.
VALUE_LEVELS, VALUE_SHARE, WEIGHT_LEVELS = 256, 2, 255
#: A channel counts as this part of the largest one at least.
LEAST = 1e-3


class OpenVinoEngine(TrunkEngine):
    """A VGG16 bundle in OpenVINO, in int8. See :class:`ml.inference.engines.trunk.TrunkEngine`."""

    name, library, tolerance = "openvino", "OpenVINO", 0.1
    # Each thread has one of them at a time. Where other programs hold one up, the others wait at the end only.
    together = 16

    def _load(self, bundle: Bundle, weights: Mapping[str, Floats], threads: int) -> None:
        import openvino as ov

        balanced, ranges = balance(weights, stored(bundle))
        model = graph(balanced, ranges)
        self._alone = compiled(model, threads)
        # Threads that share an image wait for each other, which takes processors from whatever else runs there.
        self._together = ov.AsyncInferQueue(compiled(model, threads, streams=threads), threads)

    def _last_map(self, batch: NDArray[np.uint8]) -> Floats:
        images = channels_first(batch, self._scaling)
        if len(images) == 1:
            return np.array(self._alone(images)[0], dtype=np.float32)
        maps: dict[int, Floats] = {}

        def keep(request: Any, place: int) -> None:
            maps[place] = request.get_output_tensor(0).data.copy()

        self._together.set_callback(keep)
        for place in range(len(images)):
            self._together.start_async({0: images[place : place + 1]}, place)
        self._together.wait_all()
        return np.concatenate([maps[place] for place in range(len(images))])


def stored(bundle: Bundle) -> dict[str, Floats]:
    """What a bundle has for it: the largest value of each channel before each of :data:`QUANTIZED`.

    Raises:
        BundleError: where its file is not what the bundle says.
    """
    file = bundle.path / FILE
    if not file.exists() or sha256(file) != bundle.meta[INT8]["sha256"]:
        raise BundleError(f"{file} is missing, or not what bundle.json says")
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


def balance(weights: Mapping[str, Floats], largest: Mapping[str, Floats]) -> tuple[dict[str, Floats], dict[str, float]]:
    """The same network with channels that reach about as far, so that the steps up to the largest value suit all.

    What a convolution gives is divided, and the next one's weights are multiplied by the same: ReLU and max pooling let
    positive factors through. The square root shares the differences between values and weights (Xiao et al.,
    "SmoothQuant", 2023).

    Returns:
        Its weights, and the largest value before each convolution.
    """
    made, ranges = dict(weights), {}
    for before, layer in pairwise(chain(*convolutions.BLOCKS)):
        reach = np.maximum(largest[layer] / largest[layer].max(), LEAST)
        factors = np.sqrt(reach).astype(np.float32)
        for part in (f"{before}/kernel", f"{before}/bias"):
            made[part] = made[part] / factors
        made[f"{layer}/kernel"] = made[f"{layer}/kernel"] * factors[:, np.newaxis]
        ranges[layer] = float((largest[layer] / factors).max())
    return made, ranges


def channels_first(batch: NDArray[np.uint8], scaling: str) -> Floats:
    """What :func:`ml.pictures.preprocess.to_tensor` gives, ``(n, 3, size, size)``, without a second copy."""
    offset, scale = SCALINGS[scaling]
    values = batch[:, np.newaxis].astype(np.float32) - offset[:, np.newaxis, np.newaxis]
    return values if scale is None else values / scale[:, np.newaxis, np.newaxis]


def graph(weights: Mapping[str, Floats], ranges: Mapping[str, float] | None) -> Any:
    """The convolutions from ``(n, 3, size, size)`` to the last feature map.

    Args:
        weights: of the bundle.
        ranges: the largest value before each convolution but the first; None for float32.
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
                # Before they are pooled, which does not change the largest: so no convolution writes float32.
                most = np.float32(ranges[following[layer]] * VALUE_SHARE)
                values = op.fake_quantize(values, np.float32(0), most, np.float32(0), most, VALUE_LEVELS)
    return ov.Model([op.result(values)], [image], "trunk")


def compiled(model: Any, threads: int, *, streams: int = 1) -> Any:
    """A graph that runs on the processor. What is not in integers stays in float32.

    Args:
        model: the graph.
        threads: in all.
        streams: requests that run side by side, and share the threads.
    """
    import openvino as ov

    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "INFERENCE_PRECISION_HINT": "f32"}
    return ov.Core().compile_model(model, "CPU", options)


def _quantized(kernel: Any) -> Any:
    """A kernel ``(c', c, 3, 3)`` in steps, of each of its outputs by the largest weight."""
    from openvino import opset8 as op

    most = np.abs(kernel.data).max(axis=(1, 2, 3), keepdims=True)
    low, high = op.constant(-most), op.constant(most)
    return op.fake_quantize(kernel, low, high, low, high, WEIGHT_LEVELS)
