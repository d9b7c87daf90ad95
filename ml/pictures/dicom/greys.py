"""Map stored values to the greys that a viewer shows (PS3.3 C.11), as a table with a grey for each possible value.

The steps are the modality transformation, the VOI transformation, and MONOCHROME1 or the presentation LUT's shape.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from ml.pictures.depth import BESIDE, MOST
from ml.pictures.dicom import elements

Floats = NDArray[np.float64]
#: Least share of pixels that a window maps between black and white. A window with fewer was not made for these pixels.
SHOWN = 0.01


def table(dataset: Dataset, low: int, bits: int, counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the grey of each stored value, starting at ``low``. Padding is black.

    If a file has both a VOI LUT and windows, the LUT is used. Of several LUTs or windows, the first usable one is used
    (PS3.3 C.11.2.1.2 leaves the choice to the application). Without a usable one, 8-bit samples are shown unchanged,
    and the greys of deeper samples range from the darkest to the brightest value that is not far from most others.

    Args:
        dataset: contains the attributes of the transformations.
        low: lowest possible value of a sample.
        bits: number of bits in a sample.
        counts: number of pixels inside collimator and shutter with each value; padding is set to 0 in place.
    """
    stored = np.arange(low, low + 2**bits)
    padding = _padding(dataset, stored)
    counts[padding] = 0
    values = _modality(dataset, stored.astype(np.float64))
    greys = _voi(dataset, values, counts)
    if greys is None:
        unchanged = bits <= 8 and np.array_equal(values, stored)
        darkest, brightest = (float(low), low + 2.0**bits - 1) if unchanged else _range_of_most(values, counts)
        greys = np.clip((values - darkest) / ((brightest - darkest) or 1.0), 0, 1)
    if _is_inverted(dataset):
        greys = 1 - greys
    greys[padding] = 0
    return np.rint(greys * 255).astype(np.uint8)


def _is_inverted(dataset: Dataset) -> bool:
    """Whether low values are bright. Digital X-rays declare this in both attributes (PS3.3 C.8.11.3.1.2)."""
    photometric, shape = (
        elements.text(dataset, keyword) for keyword in ("PhotometricInterpretation", "PresentationLUTShape")
    )
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def _padding(dataset: Dataset, stored: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values mark pixels that were added around the picture (PS3.3 C.7.5.1.1.2)."""
    value = elements.number(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = elements.number(dataset, "PixelPaddingRangeLimit")
    ends = sorted((value, value if limit is None else limit))
    return (stored >= ends[0]) & (stored <= ends[1])


def _modality(dataset: Dataset, values: Floats) -> Floats:
    """Apply the modality LUT, or Rescale Slope and Intercept (PS3.3 C.11.1)."""
    for item in elements.items(dataset, "ModalityLUTSequence"):
        if looked_up := _lookup(item, dataset):
            return looked_up[0](values)
    slope = elements.number(dataset, "RescaleSlope")
    return values * (slope or 1.0) + (elements.number(dataset, "RescaleIntercept") or 0.0)


def _voi(dataset: Dataset, values: Floats, counts: NDArray[np.int64]) -> Floats | None:
    """Apply the first usable VOI LUT or window (PS3.3 C.11.2): greys from 0 to 1, or None without one."""
    for item in elements.items(dataset, "VOILUTSequence"):
        if looked_up := _lookup(item, dataset):
            greys = looked_up[0](values) / looked_up[1]
            if _is_usable(greys, counts):
                return greys
    function = _FUNCTIONS.get(elements.text(dataset, "VOILUTFunction").upper(), _linear)
    centres, widths = (elements.numbers(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    for centre, width in zip(centres, widths, strict=False):
        if width >= 1 or (width > 0 and function is not _linear):
            greys = function(values, centre, width)
            if _is_usable(greys, counts):
                return greys
    return None


def _is_usable(greys: Floats, counts: NDArray[np.int64]) -> bool:
    total = counts.sum()
    return not total or counts[(greys > 0) & (greys < 1)].sum() >= SHOWN * total


def _linear(values: Floats, centre: float, width: float) -> Floats:
    """PS3.3 C.11.2.1.2.1."""
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _linear_exact(values: Floats, centre: float, width: float) -> Floats:
    """PS3.3 C.11.2.1.3.2."""
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _sigmoid(values: Floats, centre: float, width: float) -> Floats:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))


_FUNCTIONS: dict[str, Callable[[Floats, float, float], Floats]] = {
    "LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid,
}  # fmt: skip


def _lookup(item: Dataset, dataset: Dataset) -> tuple[Callable[[Floats], Floats], float] | None:
    """A lookup table (PS3.3 C.11.1.1) as a function, and its highest output; None if it is damaged."""
    descriptor, data = elements.numbers(item, "LUTDescriptor"), elements.value(item, "LUTData")
    if len(descriptor) < 3:
        return None
    entries, first, bits = int(descriptor[0]) or 2**16, descriptor[1], int(descriptor[2])
    if elements.integer(dataset, "PixelRepresentation") and first >= 2**15:
        first -= 2**16  # a signed number that was read as unsigned
    if isinstance(data, bytes):
        narrow = bits <= 8 and len(data) in (entries, entries + 1)
        kind = "u1" if narrow else "<u2" if dataset.original_encoding[1] else ">u2"
        outputs = np.frombuffer(data, kind, len(data) // np.dtype(kind).itemsize).astype(np.float64)
    else:
        outputs = np.array(elements.numbers(item, "LUTData"))
    if not 0 < entries <= len(outputs):
        return None
    outputs = outputs[:entries]
    # Some tables have more bits than they declare.
    highest = max(2.0 ** min(max(bits, 1), 16) - 1, float(outputs.max()), 1.0)
    return lambda values: outputs[np.clip(values - first, 0, entries - 1).astype(np.intp)], highest


def _range_of_most(values: Floats, counts: NDArray[np.int64]) -> tuple[float, float]:
    """The least and the largest value that is not far from most pixels, chosen as in :mod:`ml.pictures.depth`."""
    present = counts > 0
    if not present.any():
        return 0.0, 0.0
    order = np.argsort(values[present])
    values, cumulated = values[present][order], np.cumsum(counts[present][order])
    low, high = (values[np.searchsorted(cumulated, cumulated[-1] * percent / 100)] for percent in MOST)
    if high > low:
        beside = BESIDE * (high - low)
        values = values[(values >= low - beside) & (values <= high + beside)]
    return float(values[0]), float(values[-1])
