"""Samples of more than 8 bits, to 8-bit greyscale. Their full depth is kept until the range to show is known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.errors import ImageError

#: Pixels that are turned into greyscale at a time.
STRIP = 2_000_000
#: Pixels that the range is chosen by.
SAMPLED = 1_000_000
#: Percentiles between which most of a picture lies, and how many times their distance the rest may lie beside them.
#: Values further away are not part of the X-ray: dead pixels, a marker of 65535 in 12-bit data.
MOST, BESIDE = (2.0, 98.0), 2.0
#: Of the range's parts those in which most values lie close together, and those that are empty on either side of them;
#: and the share of the values that may lie apart.
PARTS, CLOSE, EMPTY, APART = 64, 16, 8, 0.25
#: Weights of red, green and blue, as Pillow has them.
LUMA = np.array([19595, 38470, 7471], dtype=np.float32) / 65536


@dataclass(frozen=True)
class Samples:
    """Decoded samples at their full depth.

    Attributes:
        values: ``(height, width)`` grey, or ``(height, width, channels)``: grey and alpha, RGB, or RGBA.
        white: the value of white, and of what is opaque.
        white_is_zero: whether grey values are inverted.
        transparent: the one colour that is transparent, a value for each channel.
    """

    values: NDArray[np.generic]
    white: float
    white_is_zero: bool = False
    transparent: tuple[int, ...] | None = None

    def is_hidden(self) -> bool:
        """Whether every pixel is transparent."""
        return self.values.ndim == 3 and self.values.shape[2] in (2, 4) and not self.values[..., -1].any()


def to_grey(samples: Samples, tone: NDArray[np.float32] | None = None) -> Image.Image:
    """Scale the range that the picture lies in to 0 to 255. Transparency is laid over black.

    Args:
        samples: of any range.
        tone: the grey to show, 0 to 1, for values evenly spaced from black to white.

    Returns:
        An image of mode ``L``.
    """
    height, width = samples.values.shape[:2]
    step = max(1, height * width // SAMPLED)
    # Copies: what is a view would keep all strips in memory.
    low, high = _range(np.concatenate([strip.ravel()[::step].copy() for _, strip in _strips(samples, tone)]))
    grey = Image.new("L", (width, height))
    for top, strip in _strips(samples, tone):
        scaled = (np.clip(np.nan_to_num(strip, nan=low), low, high) - low) * (255.0 / (high - low or 1.0))
        grey.paste(Image.fromarray(np.rint(scaled).astype(np.uint8)), (0, top))
    return grey


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    """The extrema of what is not far away from most of the values.

    Raises:
        ImageError: ``image_corrupt`` where no value is a number.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        raise ImageError("image_corrupt", "The image holds no numbers that can be shown. Please export it again.")
    low, high = np.percentile(values, MOST)
    if high > low:
        beside = BESIDE * (high - low)
        values = values[(values >= low - beside) & (values <= high + beside)]
    values = _without_apart(values)
    return float(values.min()), float(values.max())


def _without_apart(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values without padding and letters, where most lie close together and far from these."""
    counts, edges = np.histogram(values, PARTS)
    used = np.flatnonzero(counts)
    most = max(np.split(used, np.flatnonzero(np.diff(used) > EMPTY) + 1), key=lambda group: counts[group].sum())
    if most[-1] - most[0] >= CLOSE or counts[most].sum() < (1 - APART) * len(values):
        return values
    return values[(values >= edges[most[0]]) & (values <= edges[most[-1] + 1])]


def _strips(samples: Samples, tone: NDArray[np.float32] | None) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Greys of some rows at a time, each time with the number of the first."""
    height, width = samples.values.shape[:2]
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        yield top, _greys(samples, samples.values[top : top + rows], tone)


def _greys(samples: Samples, values: NDArray[np.generic], tone: NDArray[np.float32] | None) -> NDArray[np.float32]:
    channels, white = values.shape[2] if values.ndim == 3 else 1, np.float32(samples.white)
    with np.errstate(over="ignore"):  # what is beyond its range is infinite, and takes no part
        parts = values.reshape(*values.shape[:2], channels).astype(np.float32)
    grey = parts[..., :3] @ LUMA if channels > 2 else parts[..., 0]
    if samples.white_is_zero:
        grey = white - grey
    if tone is not None:
        grey = np.interp(grey / white, np.linspace(0, 1, len(tone)), tone).astype(np.float32) * white
    if channels in (2, 4):
        grey = grey * (parts[..., -1] / white)
    if samples.transparent is not None:
        grey[(parts == np.array(samples.transparent, np.float32)).all(axis=-1)] = 0
    return grey.astype(np.float32, copy=False)
