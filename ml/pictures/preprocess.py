"""Convert a greyscale image to the network's input. Training and serving both use this code.

There are two steps because serving runs them in two processes: :func:`to_input` makes a small 8-bit image, which is
kept as the record of what the model saw, and :func:`to_tensor` converts a batch of those to the values that the network
expects.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

#: ImageNet means that VGG16 was trained with, in its blue-green-red order.
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)

_BLACK = np.zeros(3, dtype=np.float32)
#: Mean to subtract from 8-bit intensities, and divisor: only ImageNet's means (VGG16 and ResNet50 of Keras), the range
#: 0 to 1, the range -1 to 1 (InceptionV3), ImageNet's means and standard deviations (DenseNet121).
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
            small, strongly compressed JPEGs, while users upload sharp images. A slight blur reduces the difference.
        percentiles: percentiles of the intensities that are stretched to 0 and 255, which removes most differences in
            exposure. (0, 100) does not change an image that uses the whole range.
        equalize: how far intensities are moved towards a flat histogram, 0 to 1. A value of 1 removes every change of
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
        """Read the values of ``bundle.json`` or of a recipe. Missing values have their defaults.

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
    """Resize one image and normalise its exposure.

    Args:
        image: mode ``L``, any size. The aspect ratio is not kept, as in training.
        spec: the bundle's preprocessing.
        resample: the antialiasing filter; only training varies it.

    Returns:
        ``(size, size)`` 8-bit greyscale.
    """
    # Pillow first reduces large images by averaging whole blocks. A gap of 2 takes half the time of a gap of 3 and
    # changes the input by 0.4 grey levels.
    small = image.resize((spec.size, spec.size), resample, reducing_gap=2.0)
    if spec.blur:
        small = small.filter(ImageFilter.GaussianBlur(spec.blur))
    pixels = np.asarray(small)
    counts = np.bincount(pixels.ravel(), minlength=256)
    low, high = percentiles(counts, spec.percentiles)
    # A blank image has no contrast to stretch. Leave it blank instead of amplifying its noise.
    if high - low < 8:
        high, spec = low + 255.0, replace(spec, equalize=0.0)
    # Pixels of one grey level all map to the same new level, so only the 256 levels are computed.
    levels = np.rint(np.clip((np.arange(256) - low) * (255.0 / (high - low)), 0, 255)).astype(np.uint8)
    if spec.equalize:
        levels = _equalized(levels, counts, spec.equalize)
    return levels[pixels]


def brightness(image: Image.Image) -> float:
    """An X-ray's mean grey level, 0 to 255, before :func:`to_input` normalises the exposure."""
    # In a large image, a sample of the pixels is fast and changes the mean by less than one grey level.
    return float(np.asarray(image)[:: max(1, image.height // 512), :: max(1, image.width // 512)].mean())


def percentiles(counts: NDArray[np.int64], percents: tuple[float, float]) -> list[float]:
    """Percentiles, interpolated like NumPy's, of pixels given by the number of pixels of each grey level."""
    cumulated = np.cumsum(counts)
    ranks = [percent / 100 * (cumulated[-1] - 1) for percent in percents]
    below, above = (np.searchsorted(cumulated, np.floor(ranks) + step, side="right") for step in (0, 1))
    return [float(low + (high - low) * (rank % 1)) for low, high, rank in zip(below, above, ranks, strict=True)]


def _equalized(levels: NDArray[np.uint8], counts: NDArray[np.int64], share: float) -> NDArray[np.uint8]:
    """Move every grey level towards its rank among the pixels; ``counts`` are the pixels of each original level."""
    counts = np.bincount(levels, weights=counts, minlength=256)
    ranks = (np.cumsum(counts) - counts / 2) * (255.0 / counts.sum())
    moved = (1 - share) * np.arange(256) + share * ranks
    return np.rint(moved).astype(np.uint8)[levels]


def to_tensor(batch: NDArray[np.uint8], scaling: str = "imagenet_bgr") -> NDArray[np.float32]:
    """Repeat grey in three channels, scaled as the network expects.

    Args:
        batch: ``(n, size, size)`` 8-bit greyscale.
        scaling: key of :data:`SCALINGS`.

    Returns:
        ``(n, size, size, 3)`` float32.
    """
    offset, scale = SCALINGS[scaling]
    values = batch[..., np.newaxis].astype(np.float32) - offset
    return values if scale is None else values / scale
