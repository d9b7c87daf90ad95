"""Convert samples of more than 8 bits to 8-bit greyscale.

Samples keep their full depth until the range to show is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import ImageError

#: Pixels that are converted to greyscale at a time.
STRIP = 2_000_000
#: Number of pixels from which the range is chosen.
SAMPLED = 1_000_000
#: Percentiles that enclose most values of a picture, and the largest distance of other values from them, as a multiple
#: of the distance between them. Values further away are not part of the X-ray: dead pixels, a marker of 65535 in 12-bit
#: data.
MOST, BESIDE = (2.0, 98.0), 2.0
#: Bins of the range; most bins that close values span; empty bins that separate them from other values; largest share
#: of the values that may be separate.
PARTS, CLOSE, EMPTY, APART = 64, 16, 8, 0.25
#: Weights of red, green and blue, as in Pillow.
LUMA = np.array([19595, 38470, 7471], dtype=np.float32) / 65536


@dataclass(frozen=True)
class Samples:
    """Decoded samples at their full depth.

    Attributes:
        values: ``(height, width)`` grey, or ``(height, width, channels)``: grey and alpha, RGB, or RGBA.
        white: the value of white, and of an opaque alpha sample.
        white_is_zero: whether grey values are inverted.
        transparent: the only transparent colour, a value for each channel.
    """

    values: NDArray[np.generic]
    white: float
    white_is_zero: bool = False
    transparent: tuple[int, ...] | None = None

    def is_hidden(self) -> bool:
        """Whether every pixel is transparent."""
        return self.values.ndim == 3 and self.values.shape[2] in (2, 4) and not self.values[..., -1].any()


def to_grey(samples: Samples, tone: NDArray[np.float32] | None = None) -> Image.Image:
    """Scale the picture's range of values to 0 to 255. Transparency is laid over black.

    Args:
        samples: samples of any range.
        tone: the grey to show, 0 to 1, for values evenly spaced from black to white.

    Returns:
        An image of mode ``L``.
    """
    height, width = samples.values.shape[:2]
    step = max(1, height * width // SAMPLED)
    # Copies, since views would keep all strips in memory.
    low, high = _range(np.concatenate([strip.ravel()[::step].copy() for _, strip in _strips(samples, tone)]))
    grey = Image.new("L", (width, height))
    for top, strip in _strips(samples, tone):
        scaled = (np.clip(np.nan_to_num(strip, nan=low), low, high) - low) * (255.0 / (high - low or 1.0))
        grey.paste(Image.fromarray(np.rint(scaled).astype(np.uint8)), (0, top))
    return grey


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the least and the largest value that is not far from most values.

    Raises:
        ImageError: ``image_corrupt`` if no value is a number.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageError("image_corrupt", "The image contains no valid pixel values. Please export it again.")
    low, high = np.percentile(values, MOST)
    if high > low:
        beside = BESIDE * (high - low)
        values = values[(values >= low - beside) & (values <= high + beside)]
    values = _without_outlying_group(values)
    return float(values.min()), float(values.max())


def _without_outlying_group(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove padding and letters, if most values lie close together and far from these."""
    counts, edges = np.histogram(values, PARTS)
    used = np.flatnonzero(counts)
    main = max(np.split(used, np.flatnonzero(np.diff(used) > EMPTY) + 1), key=lambda group: counts[group].sum())
    if main[-1] - main[0] >= CLOSE or counts[main].sum() < (1 - APART) * len(values):
        return values
    return values[(values >= edges[main[0]]) & (values <= edges[main[-1] + 1])]


def _strips(samples: Samples, tone: NDArray[np.float32] | None) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the greys of strips of rows, each with the index of its first row."""
    height, width = samples.values.shape[:2]
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        yield top, _greys(samples, samples.values[top : top + rows], tone)


def _greys(samples: Samples, values: NDArray[np.generic], tone: NDArray[np.float32] | None) -> NDArray[np.float32]:
    channels, white = values.shape[2] if values.ndim == 3 else 1, np.float32(samples.white)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are ignored
        colours = values.reshape(*values.shape[:2], channels).astype(np.float32)
    grey = colours[..., :3] @ LUMA if channels > 2 else colours[..., 0]
    if samples.white_is_zero:
        grey = white - grey
    if tone is not None:
        grey = np.interp(grey / white, np.linspace(0, 1, len(tone)), tone).astype(np.float32) * white
    if channels in (2, 4):
        grey = grey * (colours[..., -1] / white)
    if samples.transparent is not None:
        grey[(colours == np.array(samples.transparent, np.float32)).all(axis=-1)] = 0
    return grey.astype(np.float32, copy=False)
