"""Text that is burned into the pixels: where it stands on the images of a station, and blanking it there."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from deidentify.errors import NotCleanedError

#: What an area may be for, and the attribute that has to say the same, in whatever upper and lower case.
MATCHED = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName", "station": "StationName"}
MOST_AREAS = 1000


@dataclass(frozen=True)
class Area:
    """Rectangles of the images that a station makes.

    Attributes:
        of: the values of :data:`MATCHED` that images have; none for all images.
        rectangles: left, top, right and bottom in pixels; right and bottom are no part of it.
        size: columns and rows of the images that it is for; None for all sizes.
    """

    of: tuple[tuple[str, str], ...]
    rectangles: tuple[tuple[int, int, int, int], ...]
    size: tuple[int, int] | None = None

    def fits(self, dataset: Dataset) -> bool:
        same = all(_plain(dataset.get(MATCHED[name])) == _plain(value) for name, value in self.of)
        return same and self.size in (None, (dataset.get("Columns"), dataset.get("Rows")))


def _plain(value: Any) -> str:
    return str(value or "").strip().casefold()


def read_areas(file: Path) -> list[Area]:
    """Read a list of areas, a TOML file with a table ``[[area]]`` for each.

    It has ``rectangles``, and as wanted ``manufacturer``, ``model``, ``station`` and ``size``.

    Raises:
        ValueError: it says something else.
    """
    with file.open("rb") as stream:
        try:
            found = tomllib.load(stream).get("area", [])
            if not isinstance(found, list) or len(found) > MOST_AREAS:
                raise ValueError(f"at most {MOST_AREAS} tables [[area]]")
            return [_area(one) for one in found]
        except (ValueError, TypeError) as error:  # tomllib's own error is a ValueError
            raise ValueError(f"{file.name} is no list of areas: {error}") from error


def _area(one: dict[str, Any]) -> Area:
    if unknown := set(one) - {*MATCHED, "rectangles", "size"}:
        raise ValueError(f"unknown name {sorted(unknown)[0]!r}")
    rectangles = []
    for rectangle in one.get("rectangles", []):
        left, top, right, bottom = _whole(rectangle, 4)
        rectangles.append((left, top, right, bottom))
    if not rectangles or any(left >= right or top >= bottom for left, top, right, bottom in rectangles):
        raise ValueError("rectangles are [left, top, right, bottom] with left < right and top < bottom")
    size = None
    if "size" in one:
        columns, rows = _whole(one["size"], 2)
        size = (columns, rows)
    return Area(tuple((name, str(one[name])) for name in MATCHED if name in one), tuple(rectangles), size)


def _whole(numbers: Any, count: int) -> tuple[int, ...]:
    if len(numbers) != count or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{count} whole numbers are wanted, such as {list(range(count))}")
    return tuple(numbers)


def blank(dataset: Dataset, rectangles: list[tuple[int, int, int, int]]) -> None:
    """Set the pixels within rectangles to zero, in every frame.

    Raises:
        NotCleanedError: ``pixels_compressed`` where they have to be decoded first, ``dicom_damaged`` where there are
            fewer than the file says.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated or dataset.PhotometricInterpretation == "YBR_FULL_422" or "PixelData" not in dataset:
        raise NotCleanedError(
            "pixels_compressed", "Text has to be blanked in this file, and its pixels are compressed in a way that is "
            "not decoded here."
        )  # fmt: skip
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel", 1))
    size = int(dataset.BitsAllocated) // 8
    planes = int(dataset.get("NumberOfFrames") or 1)
    if samples > 1 and dataset.get("PlanarConfiguration") == 1:
        planes, samples = planes * samples, 1
    width = columns * samples * size
    pixels = bytearray(dataset.PixelData)
    if not size or len(pixels) < planes * rows * width:
        raise NotCleanedError("dicom_damaged", "The file has fewer pixels than it says.")
    for left, top, right, bottom in rectangles:
        start, end = (min(at, columns) * samples * size for at in (left, right))
        for row in (plane * rows + row for plane in range(planes) for row in range(min(top, rows), min(bottom, rows))):
            pixels[row * width + start : row * width + end] = bytes(end - start)
    dataset.PixelData = bytes(pixels)
