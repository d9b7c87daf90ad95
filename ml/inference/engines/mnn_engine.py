"""MNN on the processor: Winograd's convolutions, which need less than half of the multiplications.

Only MNN's core is imported. Its package also has ``MNN.tools``, which reports its use to the maker's servers; nothing
here needs it: the network is built from the bundle's weights at each start, in less than two seconds.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ml.bundles.bundle import Bundle
from ml.errors import BundleError, EngineError
from ml.inference import machine
from ml.inference.engines import Readings, convolutions
from ml.inference.engines.head import Head
from ml.pictures.preprocess import SCALINGS, to_tensor

Floats = NDArray[np.float32]

#: Images that go through the network together. More take more memory, and are hardly faster each.
TOGETHER = 4
#: How far the last feature map may be from NumPy's, as a part of its largest value.
TOLERANCE = 1e-3
#: The kernel that sees the image.
FIRST = "block1_conv1/kernel"


class MnnEngine:
    """A VGG16 bundle in MNN, in float32. See :class:`ml.inference.engines.Engine`.

    Raises:
        BundleError: where the bundle's weights are not those of a VGG16.
        EngineError: where MNN gives something else than the weights say.
    """

    name = "mnn"

    def __init__(self, bundle: Bundle) -> None:
        weights = bundle.weights()
        if set(weights) != convolutions.WEIGHTS:
            raise BundleError(f"{bundle.path} does not hold the weights of a {bundle.architecture}")
        # NumPy has little to do here, and its threads would wait for processors in a loop, at the cost of MNN's.
        threadpool_limits(1, user_api="blas")
        self._size, self._scaling = bundle.preprocessing.size, bundle.preprocessing.scaling
        grey = {**weights, FIRST: for_grey(weights[FIRST], self._scaling)}
        self._head = Head(weights, bundle.calibration)
        threads = machine.cores()
        with tempfile.TemporaryDirectory() as folder, _quiet_output():
            self._trunk = _loaded(write(grey, self._size, Path(folder) / "trunk.mnn"), threads)
        self.device = f"{machine.processor()}, {threads} thread{'s' * (threads > 1)}"
        self._check(weights)

    def predict(self, batch: NDArray[np.uint8]) -> Floats:
        return self.read(batch).probabilities

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        parts = [
            self._head.read(self._last_map(batch[start : start + TOGETHER])) for start in range(0, len(batch), TOGETHER)
        ]
        return Readings(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Readings)))

    def warm_up(self, max_batch: int) -> None:
        for count in sorted({1, min(max_batch, TOGETHER)}):
            self.read(np.zeros((count, self._size, self._size), dtype=np.uint8))

    def _last_map(self, batch: NDArray[np.uint8]) -> Floats:
        """The last feature map before it is pooled, ``(n, 512, h, w)``."""
        import MNN.expr as F

        images = np.ones((len(batch), 2, *batch.shape[1:]), dtype=np.float32)
        images[:, 0] = batch
        (found,) = self._trunk.forward([F.const(images, list(images.shape), F.NCHW)])
        return np.array(found.read(), dtype=np.float32)

    def _check(self, weights: Mapping[str, Floats]) -> None:
        """Compare with NumPy what MNN computes: another build or processor may run other code."""
        image = np.random.default_rng(0).integers(0, 256, (1, self._size, self._size), dtype=np.uint8)
        expected = convolutions.last_map(to_tensor(image, self._scaling)[0], weights)
        found = self._last_map(image)[0].transpose(1, 2, 0)
        apart = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not apart <= TOLERANCE:  # NaN is not, either
            raise EngineError(
                f"MNN does not compute on this machine what the model's weights say: it is {apart:.2g} of the largest "
                f"value away, and {TOLERANCE:g} is allowed. Set ENGINE=keras"
            )


def write(weights: Mapping[str, Floats], size: int, file: Path) -> Path:
    """Write the convolutions in MNN's format: from ``image`` ``(n, channels, size, size)`` to ``map``."""
    import MNN.expr as F

    image = F.placeholder([1, weights[FIRST].shape[2], size, size], F.NCHW, F.float)
    image.name = "image"
    values = F.convert(image, F.NC4HW4)
    for block, layers in enumerate(convolutions.BLOCKS):
        if block:
            # In this order a quarter of the values is compared with 0, and the same comes out.
            values = F.relu(F.max_pool(values, [2, 2], [2, 2]))
        for number, layer in enumerate(layers):
            values = F.relu(values) if number else values
            values = _convolution(weights[f"{layer}/kernel"], weights[f"{layer}/bias"]).forward(values)
    values = F.convert(F.relu(values), F.NCHW)
    values.name = "map"
    F.save([values], str(file))
    return file


def for_grey(kernel: Floats, scaling: str) -> Floats:
    """The first kernel ``(3, 3, 3, c)`` for a grey image of 0 to 255 and an image of ones, ``(3, 3, 2, c)``.

    The network's three channels are the grey image, scaled. With zeros around them, these two hold the same.
    """
    offset, scale = SCALINGS[scaling]
    scaled = kernel if scale is None else kernel / scale[:, None]
    return np.stack([scaled.sum(axis=2), -(scaled * offset[:, None]).sum(axis=2)], axis=2)


def _convolution(kernel: Floats, bias: Floats) -> Any:
    """One whose weights are constants: only those get Winograd's transformation."""
    import MNN.expr as F
    import MNN.nn as nn

    outwards = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    made = nn.conv(outwards.shape[1], outwards.shape[0], [3, 3], padding_mode=F.SAME)
    values = [bias if len(parameter.shape) == 1 else outwards for parameter in made.parameters]
    made.load_parameters([F.const(array, list(array.shape), F.NCHW) for array in values])
    made.train(False)
    return made


def _loaded(file: Path, threads: int) -> Any:
    import MNN.nn as nn

    # "high" keeps float32 on processors that also have float16.
    runtime = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    return nn.load_module_from_file(str(file), ["image"], ["map"], runtime_manager=runtime)


@contextmanager
def _quiet_output() -> Iterator[None]:
    """Send what MNN's library prints to the errors, away from the output of commands."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
