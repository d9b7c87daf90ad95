"""Validation under hard conditions: held-out patients, with each image unchanged and perturbed as in real uploads.

Images like the training images flatter a model. Therefore the epoch, the calibration and the operating points are
chosen on these images, by the worst condition.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ml.dataset import data
from ml.pictures import augment, xray
from ml.pictures.preprocess import Preprocessing, to_input

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _levels(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Change:
    table = np.rint(np.clip(change(np.linspace(0, 1, 256)), 0, 1) * 255).astype(int).tolist()
    return lambda image, rng: image.point(table)


def _cropped(left: float, top: float, right: float, bottom: float) -> Change:
    def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = image.size
        box = (int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height))
        return image.crop(box)

    return crop


def _padded(share: float) -> Change:
    def pad(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = image.size
        wider = Image.new("L", (int(width * (1 + 2 * share)), int(height * (1 + 2 * share))))
        wider.paste(image, (int(width * share), int(height * share)))
        return wider

    return pad


def _turned(degrees: float) -> Change:
    return lambda image, rng: image.rotate(degrees, Image.Resampling.BICUBIC)


def _blurred(pixels: float) -> Change:
    return lambda image, rng: image.filter(ImageFilter.GaussianBlur(pixels * max(image.size) / 224))


def _sharpened(percent: int) -> Change:
    return lambda image, rng: image.filter(ImageFilter.UnsharpMask(1.5 * max(image.size) / 224, percent, 0))


def _noisy(deviation: float) -> Change:
    def add(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        values = np.asarray(image, dtype=np.float32)
        values = values + rng.normal(0, deviation, values.shape).astype(np.float32)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))

    return add


def _compressed(quality: int) -> Change:
    def compress(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("L")

    return compress


def _resampled(resample: Image.Resampling, side: int = 224) -> Change:
    return lambda image, rng: image.resize((side, side), resample)


#: All single changes. The bundle's preprocessing follows each, so the figures show how much of the change remains.
CHANGES: dict[str, Change] = {
    "plain": lambda image, rng: image,
    "gamma 0.7": _levels(lambda x: x**0.7),
    "gamma 1.4": _levels(lambda x: x**1.4),
    "contrast 0.6": _levels(lambda x: (x - 0.5) * 0.6 + 0.5),
    "contrast 1.5": _levels(lambda x: (x - 0.5) * 1.5 + 0.5),
    "brighter": _levels(lambda x: x + 0.15),
    "darker": _levels(lambda x: x - 0.15),
    "closer framing": _cropped(0.08, 0.05, 0.08, 0.10),
    "wider framing": _padded(0.08),
    "off centre": _cropped(0.10, 0.0, 0.0, 0.08),
    "turned +8°": _turned(8),
    "turned -8°": _turned(-8),
    "blurred": _blurred(1.0),
    "sharpened": _sharpened(120),
    "noise": _noisy(8),
    "JPEG quality 30": _compressed(30),
    "JPEG quality 95": _compressed(95),
    "box filter": _resampled(Image.Resampling.BOX),
    "bicubic filter": _resampled(Image.Resampling.BICUBIC),
    "Lanczos filter": _resampled(Image.Resampling.LANCZOS),
    "nearest filter": _resampled(Image.Resampling.NEAREST),
    "from 128 pixels": _resampled(Image.Resampling.BILINEAR, 128),
}
#: All kinds of change at once, at random: see :data:`ml.pictures.augment.HARD`.
EVERYTHING = "everything at once"
#: The conditions by which each epoch of a training is judged.
BRIEF = ("plain", EVERYTHING)


@dataclass(frozen=True)
class Validation:
    """Held-out images under several conditions, one row for each image and condition.

    Attributes:
        inputs: ``(n, size, size)`` 8-bit greyscale, from :func:`ml.pictures.preprocess.to_input`.
        truth: ``(n,)`` of 0 and 1.
        conditions: ``(n,)`` names from :data:`CHANGES`, or :data:`EVERYTHING`.
        renditions: ``(n,)`` ``small`` for files no larger than the input, otherwise ``large``.
        patients: ``(n,)`` identifiers.
        names: ``(n,)`` file names.
    """

    inputs: NDArray[np.uint8]
    truth: NDArray[np.integer[Any]]
    conditions: NDArray[np.str_]
    renditions: NDArray[np.str_]
    patients: NDArray[np.str_]
    names: NDArray[np.str_]

    def groups(self) -> Iterable[tuple[str, NDArray[np.bool_]]]:
        """A name and a mask for each condition and rendition."""
        for condition in dict.fromkeys(self.conditions.tolist()):
            for rendition in ("small", "large"):
                mask = (self.conditions == condition) & (self.renditions == rendition)
                if mask.any():
                    yield f"{condition}, {rendition}", mask

    def only(self, chosen: NDArray[np.bool_]) -> "Validation":
        """The chosen rows."""
        return Validation(*(getattr(self, field.name)[chosen] for field in fields(self)))


def validation(
    samples: Sequence[data.Sample], spec: Preprocessing, conditions: Iterable[str], seed: int, limit: int | None = None
) -> Validation:
    """Prepare held-out images.

    Args:
        samples: the samples of held-out patients.
        spec: the preprocessing.
        conditions: names from :data:`CHANGES`, or :data:`EVERYTHING`.
        seed: the seed of the random changes.
        limit: the largest number of files of each class and rendition, spread over the patients.
    """
    rows: list[tuple[NDArray[np.uint8], int, str, str, str, str]] = []
    conditions = list(conditions)
    counts: dict[tuple[int, str], int] = {}
    for index, sample in enumerate(_spread(samples, seed)):
        image = xray.load(sample.path.read_bytes())
        rendition = "small" if max(image.size) <= spec.size else "large"
        counts[sample.label, rendition] = counts.get((sample.label, rendition), 0) + 1
        if limit and counts[sample.label, rendition] > limit:
            continue
        for condition_index, condition in enumerate(conditions):
            rng = np.random.default_rng([seed, 1_000_000, index, condition_index])
            rows.append(
                (_changed(image, condition, rng, spec), sample.label, condition, rendition, sample.patient,
                 sample.path.name)
            )  # fmt: skip
    inputs, truth, *names = zip(*rows, strict=True)
    return Validation(np.stack(inputs), np.array(truth), *(np.array(column) for column in names))


def _changed(image: Image.Image, condition: str, rng: np.random.Generator, spec: Preprocessing) -> NDArray[np.uint8]:
    if condition == EVERYTHING:
        return augment.perturb(image, rng, augment.HARD, spec)
    return to_input(CHANGES[condition](image, rng), spec)


def _spread(samples: Sequence[data.Sample], seed: int) -> list[data.Sample]:
    """The samples in a random order, so that the first ones come from many patients."""
    order = np.random.default_rng([seed, 2]).permutation(len(samples))
    return [samples[index] for index in order]
