"""The one way from a greyscale image to the network's input, in training and in serving.

It has two halves because serving does them in two processes: :func:`to_input` makes a small 8-bit image, which is kept
as the record of what the model saw, and :func:`to_tensor` turns a batch of those into what VGG16 expects.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

#: The ImageNet means that VGG16 was trained with, in its blue-green-red order.
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)

_BLACK = np.zeros(3, dtype=np.float32)
#: The mean that is subtracted from 8-bit intensities, and the divisor: ImageNet's means only (Keras' VGG16 and
#: ResNet50), the range 0 to 1, the range -1 to 1 (InceptionV3), and ImageNet's means and deviations (DenseNet121).
SCALINGS: dict[str, tuple[NDArray[np.float32], NDArray[np.float32] | None]] = {
    "imagenet_bgr": (IMAGENET_MEAN, None),
    "unit": (_BLACK, _BLACK + 255),
    "symmetric": (_BLACK + 127.5, _BLACK + 127.5),
    "imagenet_normal": (
        np.array([0.485, 0.456, 0.406], dtype=np.float32) * 255,
        np.array([0.229, 0.224, 0.225], dtype=np.float32) * 255,
    ),
}


@dataclass(frozen=True)
class Preprocessing:
    """How a bundle's images are prepared; stored in ``bundle.json``.

    Attributes:
        size: side of the square input, in pixels.
        blur: standard deviation of the Gaussian applied after resampling, in input pixels. The training images are
            small, hard-compressed JPEGs while users upload sharp ones; a slight blur levels the difference.
        percentiles: intensities stretched to 0 and 255, which takes most of the exposure out. (0, 100) does nothing
            to an image that uses the whole range.
        equalize: how far intensities are moved towards a flat histogram, 0 to 1. At 1 nothing is left of any change of
            exposure that keeps the order of intensities.
        scaling: key of :data:`SCALINGS`.
    """

    size: int = 224
    blur: float = 1.0
    percentiles: tuple[float, float] = (1.0, 99.0)
    equalize: float = 0.0
    scaling: str = "imagenet_bgr"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise ValueError(f"unknown scaling {self.scaling!r}; known: {', '.join(SCALINGS)}")

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preprocessing":
        """From ``bundle.json`` or a recipe; what is missing has its default.

        Raises:
            TypeError: for an unknown key.
        """
        low, high = values.get("percentiles", cls.percentiles)
        return cls(**{**values, "percentiles": (float(low), float(high))})

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
    # Large images are first reduced by means of whole blocks. A gap of 2 takes half the time of a gap of 3 and changes
    # the input by 0.4 grey levels.
    small = image.resize((spec.size, spec.size), resample, reducing_gap=2.0)
    if spec.blur:
        small = small.filter(ImageFilter.GaussianBlur(spec.blur))
    pixels = np.asarray(small)
    counts = np.bincount(pixels.ravel(), minlength=256)
    low, high = percentiles(counts, spec.percentiles)
    # A blank image has no contrast to stretch; leave it blank instead of amplifying its noise.
    if high - low < 8:
        high, spec = low + 255.0, replace(spec, equalize=0.0)
    # Pixels of one grey level go to one other, so that the levels are computed and not the pixels.
    levels = np.rint(np.clip((np.arange(256) - low) * (255.0 / (high - low)), 0, 255)).astype(np.uint8)
    if spec.equalize:
        levels = _equalized(levels, counts, spec.equalize)
    return levels[pixels]


def brightness(image: Image.Image) -> float:
    """An X-ray's mean grey level, 0 to 255, before :func:`to_input` takes the exposure out."""
    # Of a large image every so many pixels, which takes no time and changes the mean by less than a grey level.
    return float(np.asarray(image)[:: max(1, image.height // 512), :: max(1, image.width // 512)].mean())


def percentiles(counts: NDArray[np.int64], percents: tuple[float, float]) -> list[float]:
    """Percentiles, interpolated as NumPy does, of pixels of which so many have each grey level."""
    upto = np.cumsum(counts)
    places = [percent / 100 * (upto[-1] - 1) for percent in percents]
    below, above = (np.searchsorted(upto, np.floor(places) + step, side="right") for step in (0, 1))
    return [float(low + (high - low) * (place % 1)) for low, high, place in zip(below, above, places, strict=True)]


def _equalized(levels: NDArray[np.uint8], counts: NDArray[np.int64], share: float) -> NDArray[np.uint8]:
    """Move every grey level, which so many pixels have, towards its rank among the image's pixels."""
    counts = np.bincount(levels, weights=counts, minlength=256)
    ranks = (np.cumsum(counts) - counts / 2) * (255.0 / counts.sum())
    moved = (1 - share) * np.arange(256) + share * ranks
    return np.rint(moved).astype(np.uint8)[levels]


def to_tensor(batch: NDArray[np.uint8], scaling: str = "imagenet_bgr") -> NDArray[np.float32]:
    """Replicate grey to three channels, scaled as the network expects.

    Args:
        batch: ``(n, size, size)`` 8-bit greyscale.
        scaling: key of :data:`SCALINGS`.

    Returns:
        ``(n, size, size, 3)`` float32.
    """
    offset, scale = SCALINGS[scaling]
    values = batch[..., np.newaxis].astype(np.float32) - offset
    return values if scale is None else values / scale
