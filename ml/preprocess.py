"""The one way from a greyscale image to the network's input, in training and in serving.

It has two halves because serving does them in two processes: :func:`to_input` makes a small 8-bit image, which is kept
as the record of what the model saw, and :func:`to_tensor` turns a batch of those into what VGG16 expects.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

#: The ImageNet means that VGG16 was trained with, in its blue-green-red order.
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)


@dataclass(frozen=True)
class Preprocessing:
    """How a bundle's images are prepared; stored in ``bundle.json``.

    Attributes:
        size: side of the square input, in pixels.
        blur: standard deviation of the Gaussian applied after resampling, in input pixels. The training images are
            small, hard-compressed JPEGs while users upload sharp ones; a slight blur levels the difference.
        percentiles: intensities stretched to 0 and 255, which takes most of the exposure out.
    """

    size: int = 224
    blur: float = 1.0
    percentiles: tuple[float, float] = (1.0, 99.0)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preprocessing":
        low, high = values["percentiles"]
        return cls(size=int(values["size"]), blur=float(values["blur"]), percentiles=(float(low), float(high)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def to_input(
    image: Image.Image, spec: Preprocessing, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.uint8]:
    """Resize and level one image.

    Args:
        image: mode ``L``, any size. Its aspect ratio is not kept, as in the training data.
        spec: the bundle's preprocessing.
        resample: the antialiasing filter; only training varies it.

    Returns:
        ``(size, size)`` 8-bit greyscale.
    """
    small = image.resize((spec.size, spec.size), resample, reducing_gap=3.0)
    if spec.blur:
        small = small.filter(ImageFilter.GaussianBlur(spec.blur))
    values = np.asarray(small, dtype=np.float32)
    low, high = np.percentile(values, spec.percentiles)
    # A blank image has no contrast to stretch; leave it blank instead of amplifying its noise.
    scale = 255.0 / (high - low) if high - low >= 8 else 1.0
    return np.rint(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)


def to_tensor(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Replicate grey to three channels and subtract ImageNet's means.

    Args:
        batch: ``(n, size, size)`` 8-bit greyscale.

    Returns:
        ``(n, size, size, 3)`` float32, channels in VGG16's blue-green-red order.
    """
    return batch[..., np.newaxis].astype(np.float32) - IMAGENET_MEAN
