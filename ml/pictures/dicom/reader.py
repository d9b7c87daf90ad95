"""Decode a DICOM file to the picture that a correct viewer shows."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from ml.pictures.depth import STRIP
from ml.pictures.dicom import checks, elements, files, frames, greys, shutters
from ml.pictures.dicom.frames import Frame
from ml.pictures.formats.contents import Contents
from ml.pictures.limits import check_size

#: Range of the ratios of a pixel's sides that are corrected.
UNEVEN, MOST_UNEVEN = 1.01, 8.0


def read(source: bytes) -> Contents:
    """Decode a radiograph.

    Raises:
        ImageError: ``dicom_without_pixels``, ``dicom_not_a_radiograph``, ``several_pictures``,
            ``encoding_not_supported``, ``image_truncated``, ``image_corrupt``, ``image_too_large`` or
            ``image_too_small``.
    """
    dataset = files.parse(source)
    checks.check(dataset)
    frame, layout = frames.read(dataset)
    if layout.photometric == "PALETTE COLOR":
        pixels = frames.to_rgb(_palette_colours(frame, dataset), "RGB")
    elif frame.values.ndim == 3:
        pixels = frames.to_rgb(frame, layout.photometric)
    else:
        pixels = _grey(frame, dataset)
    if isinstance(pixels, Image.Image):
        pixels = _square(pixels, dataset)
    return Contents(pixels, notes=checks.not_frontal_warnings(dataset))


def _grey(frame: Frame, dataset: Dataset) -> Image.Image:
    rows, columns = frame.values.shape
    low = -(2 ** (frame.bits - 1)) if frame.signed else 0
    values = frame.values if frame.values.dtype.kind == "u" else _shifted_to_zero(frame.values, low)
    shutter = shutters.shutter(dataset, rows, columns)
    masks = [mask for mask in (shutter, shutters.collimator(dataset, rows, columns)) if mask is not None]
    counted = values[np.logical_and.reduce(masks)] if masks else values
    counts = _counts(counted.ravel(), frame.bits)
    table = greys.table(dataset, low, frame.bits, counts)
    grey, step = np.empty((rows, columns), np.uint8), max(1, STRIP // columns)
    for top in range(0, rows, step):  # in strips, since the look-up takes eight bytes per pixel
        grey[top : top + step] = table[values[top : top + step]]
    if shutter is not None:
        grey[~shutter] = 0
    return Image.fromarray(grey)


def _shifted_to_zero(values: NDArray[np.generic], low: int) -> NDArray[np.generic]:
    """Shift samples so that the lowest possible value becomes 0."""
    return (values.astype(np.int32) - low).clip(0, -2 * low - 1).astype(np.uint16)


def _counts(values: NDArray[np.generic], bits: int) -> NDArray[np.int64]:
    """Number of samples with each value."""
    counts = np.zeros(2**bits, np.int64)
    for start in range(0, values.size, STRIP):
        counts += np.bincount(values[start : start + STRIP], minlength=2**bits)[: 2**bits]
    return counts


def _palette_colours(frame: Frame, dataset: Dataset) -> Frame:
    """Look up the colours of the samples in the palette (PS3.3 C.7.9)."""
    colours = apply_color_lut(frame.values, dataset)
    if colours.dtype.itemsize > 1:
        colours = (colours >> 8).astype(np.uint8)
    return Frame(colours[..., :3], 8, is_rgb=True)


def _square(image: Image.Image, dataset: Dataset) -> Image.Image:
    """Resize a picture to square pixels (Pixel Aspect Ratio, PS3.3 C.7.6.3.1.7), without loss of detail."""
    names = ("PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing")
    pair = next((sides for name in names if len(sides := elements.numbers(dataset, name)) == 2), [1.0, 1.0])
    ratio = pair[0] / pair[1] if min(pair) > 0 else 1.0
    if not UNEVEN < max(ratio, 1 / ratio) <= MOST_UNEVEN:
        return image
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    check_size(*size)
    return image.resize(size, Image.Resampling.BILINEAR)
