"""Make lateral and frontal chest pictures from a chest CT, because no openly licensed real laterals are easy to get.

Parallel rays run through the CT, and the brightness is the sum along each ray. The frontal pictures show how much of a
result is due to this method; the check counts them as chests (:mod:`ml.evaluation.novelty_report`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LATERAL, FRONTAL = "lateral", "frontal"
#: The numbers of pictures of each.
LATERALS, FRONTALS = 60, 40
SEED = 3
SIDE = 300

Volume = NDArray[np.float32]


def write(ct: Path, output: Path) -> None:
    """Make pictures from a CT and write them as PNGs into ``output/lateral`` and ``output/frontal``.

    Args:
        ct: a folder with DICOM files, the slices of one series.
        output: the folder for the pictures.

    Raises:
        FileNotFoundError: if the folder has no DICOM file.
    """
    volume, slice_ratio = read(ct)
    for folder, picture in made(volume, slice_ratio):
        target = output / folder
        target.mkdir(parents=True, exist_ok=True)
        picture.save(target / f"{len(list(target.iterdir())):03d}.png")


def read(ct: Path) -> tuple[Volume, float]:
    """A CT, ``(slices, rows, columns)`` from the head down, with 0 for air and 1000 for water; and the ratio of the
    slice thickness to the pixel width."""
    import pydicom

    slices = [pydicom.dcmread(file) for file in sorted(ct.glob("*.dcm"))]
    if not slices:
        raise FileNotFoundError(f"{ct} has no DICOM file (*.dcm)")
    slices.sort(key=lambda image: -float(image.ImagePositionPatient[2]))
    stored = np.stack([image.pixel_array[::2, ::2] for image in slices]).astype(np.float32)
    values = stored * float(slices[0].RescaleSlope) + float(slices[0].RescaleIntercept) + 1000
    thickness = abs(float(slices[0].ImagePositionPatient[2]) - float(slices[1].ImagePositionPatient[2]))
    return np.clip(values, 0, 3000), thickness / (2 * float(slices[0].PixelSpacing[0]))


def made(volume: Volume, slice_ratio: float) -> Iterator[tuple[str, Image.Image]]:
    """Pictures of a CT with their kind, each with its own random angle, framing, exposure and noise."""
    rng = np.random.default_rng(SEED)
    for kind, count, largest_angle in ((LATERAL, LATERALS, 12), (FRONTAL, FRONTALS, 8)):
        for _ in range(count):
            angle = rng.uniform(-largest_angle, largest_angle) + (rng.choice([-90, 90]) if kind == LATERAL else 0)
            yield kind, _picture(volume, slice_ratio, float(angle), rng)


def _picture(volume: Volume, slice_ratio: float, angle: float, rng: np.random.Generator) -> Image.Image:
    from scipy import ndimage

    bones = np.where(volume > 1150, 1150 + (volume - 1150) * rng.uniform(0.6, 1.6), volume)
    sums = ndimage.rotate(bones, angle, axes=(1, 2), order=1, reshape=False).sum(axis=1)
    sums = ndimage.zoom(sums, (slice_ratio, 1), order=1)
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
