"""MNN on the CPU, with Winograd convolutions, which need less than half of the multiplications.

Only MNN's core is imported. Its package also has ``MNN.tools``, which reports its use to the vendor's servers. Nothing
here needs that: the network is built from the bundle's weights at each start, in less than two seconds.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference.engines import convolutions
from ml.inference.engines.trunk import Floats, TrunkEngine
from ml.pictures.preprocess import SCALINGS

#: The kernel of the first convolution, which takes the image.
FIRST = "block1_conv1/kernel"


class MnnEngine(TrunkEngine):
    """A VGG16 bundle in MNN, in float32. See :class:`ml.inference.engines.trunk.TrunkEngine`."""

    name, library, tolerance = "mnn", "MNN", 1e-3

    def _load(self, bundle: Bundle, weights: Mapping[str, Floats], threads: int) -> None:
        grey = {**weights, FIRST: for_grey(weights[FIRST], self._scaling)}
        with tempfile.TemporaryDirectory() as folder, _quiet_output():
            self._trunk = _load_module(write(grey, self._size, Path(folder) / "trunk.mnn"), threads)

    def _last_map(self, batch: NDArray[np.uint8]) -> Floats:
        import MNN.expr as F

        images = np.ones((len(batch), 2, *batch.shape[1:]), dtype=np.float32)
        images[:, 0] = batch
        (feature_map,) = self._trunk.forward([F.const(images, list(images.shape), F.NCHW)])
        return np.array(feature_map.read(), dtype=np.float32)


def write(weights: Mapping[str, Floats], size: int, file: Path) -> Path:
    """Write the convolutions in MNN's format, with the input ``image`` ``(n, channels, size, size)`` and the output
    ``map``."""
    import MNN.expr as F

    image = F.placeholder([1, weights[FIRST].shape[2], size, size], F.NCHW, F.float)
    image.name = "image"
    values = F.convert(image, F.NC4HW4)
    for block, layers in enumerate(convolutions.BLOCKS):
        if block:
            # ReLU after pooling gives the same result, on a quarter of the values.
            values = F.relu(F.max_pool(values, [2, 2], [2, 2]))
        for number, layer in enumerate(layers):
            values = F.relu(values) if number else values
            values = _convolution(weights[f"{layer}/kernel"], weights[f"{layer}/bias"]).forward(values)
    values = F.convert(F.relu(values), F.NCHW)
    values.name = "map"
    F.save([values], str(file))
    return file


def for_grey(kernel: Floats, scaling: str) -> Floats:
    """Convert the first kernel ``(3, 3, 3, c)`` to one for a grey image of 0 to 255 and an image of ones,
    ``(3, 3, 2, c)``.

    The network's three channels are the scaled grey image. The two images give the same result, also with zero padding.
    """
    offset, scale = SCALINGS[scaling]
    scaled = kernel if scale is None else kernel / scale[:, None]
    return np.stack([scaled.sum(axis=2), -(scaled * offset[:, None]).sum(axis=2)], axis=2)


def _convolution(kernel: Floats, bias: Floats) -> Any:
    """A convolution with constant weights: MNN uses Winograd's transformation only for these."""
    import MNN.expr as F
    import MNN.nn as nn

    mnn_kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    module = nn.conv(mnn_kernel.shape[1], mnn_kernel.shape[0], [3, 3], padding_mode=F.SAME)
    parameters = [bias if len(parameter.shape) == 1 else mnn_kernel for parameter in module.parameters]
    module.load_parameters([F.const(array, list(array.shape), F.NCHW) for array in parameters])
    module.train(False)
    return module


def _load_module(file: Path, threads: int) -> Any:
    import MNN.nn as nn

    # "high" keeps float32 on processors that also support float16.
    runtime = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    return nn.load_module_from_file(str(file), ["image"], ["map"], runtime_manager=runtime)


@contextmanager
def _quiet_output() -> Iterator[None]:
    """Redirect what the MNN library prints to stderr, so that it does not mix with a command's output."""
    sys.stdout.flush()
    saved_stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(saved_stdout, 1)
        os.close(saved_stdout)
