"""Chests from the side and from the front, made from a chest's CT: nobody has openly licensed real ones for the asking.

Rays run in parallel through the CT; bone is as bright as their sum. The frontal ones show what of such a picture comes
from being made so, and are chests for the check (:mod:`ml.evaluation.novelty_report`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LATERAL, FRONTAL = "lateral", "frontal"
#: Pictures of each.
LATERALS, FRONTALS = 60, 40
SEED = 3
SIDE = 300

Volume = NDArray[np.float32]


def write(ct: Path, output: Path) -> None:
    """Make pictures of a CT and write them as PNGs into ``output/lateral`` and ``output/frontal``.

    Args:
        ct: a folder of DICOM files, the slices of one series.
        output: a folder.

    Raises:
        FileNotFoundError: where the folder has no DICOM file.
    """
    volume, tall = read(ct)
    for folder, picture in made(volume, tall):
        place = output / folder
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{len(list(place.iterdir())):03d}.png")


def read(ct: Path) -> tuple[Volume, float]:
    """A CT, ``(slices, rows, columns)`` with the head first, 0 being air and 1000 water; and how many times as thick a
    slice is as a pixel is wide."""
    import pydicom

    slices = [pydicom.dcmread(file) for file in sorted(ct.glob("*.dcm"))]
    if not slices:
        raise FileNotFoundError(f"{ct} has no DICOM file (*.dcm)")
    slices.sort(key=lambda one: -float(one.ImagePositionPatient[2]))
    stored = np.stack([one.pixel_array[::2, ::2] for one in slices]).astype(np.float32)
    values = stored * float(slices[0].RescaleSlope) + float(slices[0].RescaleIntercept) + 1000
    thick = abs(float(slices[0].ImagePositionPatient[2]) - float(slices[1].ImagePositionPatient[2]))
    return np.clip(values, 0, 3000), thick / (2 * float(slices[0].PixelSpacing[0]))


def made(volume: Volume, tall: float) -> Iterator[tuple[str, Image.Image]]:
    """Pictures of a CT, each turned, framed, exposed and noisy in its own way, and which kind it is."""
    rng = np.random.default_rng(SEED)
    for kind, count, turned in ((LATERAL, LATERALS, 12), (FRONTAL, FRONTALS, 8)):
        for _ in range(count):
            angle = rng.uniform(-turned, turned) + (rng.choice([-90, 90]) if kind == LATERAL else 0)
            yield kind, _picture(volume, tall, float(angle), rng)


def _picture(volume: Volume, tall: float, angle: float, rng: np.random.Generator) -> Image.Image:
    from scipy import ndimage

    bones = np.where(volume > 1150, 1150 + (volume - 1150) * rng.uniform(0.6, 1.6), volume)
    sums = ndimage.rotate(bones, angle, axes=(1, 2), order=1, reshape=False).sum(axis=1)
    sums = ndimage.zoom(sums, (tall, 1), order=1)
    body = np.flatnonzero(sums.max(axis=0) > 0.1 * sums.max())
    left, right = max(0, body[0] - rng.integers(12)), body[-1] + rng.integers(12)
    top, bottom = (int(len(sums) * share) for share in (rng.uniform(0, 0.08), rng.uniform(0.85, 1)))
    sums = sums[top:bottom, left:right]
    light = np.clip(sums / np.percentile(sums, rng.uniform(97, 99.8)), 0, 1) ** rng.uniform(0.6, 1.5)
    tilted = Image.fromarray((255 * light).astype(np.uint8)).rotate(rng.uniform(-6, 6), Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        tilted = tilted.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    noisy = np.asarray(tilted.resize((SIDE, SIDE)), dtype=float) + rng.normal(0, rng.uniform(0, 5), (SIDE, SIDE))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
