"""The parts of a picture outside the collimator, where no X-rays fell, and outside the shutter, which are not shown."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from ml.pictures.dicom import elements

#: Least share of a picture that lies inside. A shutter or collimator that leaves less is an error, and is ignored.
INSIDE = 0.02


def shutter(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Mask of the part to show (Display Shutter, PS3.3 C.7.6.11); None for the whole picture."""
    return _inside(dataset, "Shutter", rows, columns)


def collimator(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Mask of the part where X-rays fell (X-Ray Collimator, PS3.3 C.8.7.3); None for the whole picture."""
    return _inside(dataset, "Collimator", rows, columns)


def _inside(dataset: Dataset, kind: str, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Mask of the part inside all shapes of a kind. DICOM counts rows and columns from 1."""
    value = elements.value(dataset, f"{kind}Shape")
    shapes = {str(value)} if isinstance(value, str) else set(map(str, value or ()))
    masks = []
    if "RECTANGULAR" in shapes:
        names = (f"{kind}{side}" for side in ("LeftVerticalEdge", "UpperHorizontalEdge", "RightVerticalEdge",
                                             "LowerHorizontalEdge"))  # fmt: skip
        edges = [elements.number(dataset, name) for name in names]
        if None not in edges:
            left, top, right, bottom = (float(edge or 0) - 1 for edge in edges)
            masks.append(_drawn(rows, columns, [(left, top), (right, top), (right, bottom), (left, bottom)]))
    if "CIRCULAR" in shapes:
        centre = elements.numbers(dataset, f"CenterOfCircular{kind}")
        radius = elements.number(dataset, f"RadiusOfCircular{kind}")
        if len(centre) == 2 and radius and radius > 0:
            y, x = np.ogrid[:rows, :columns]
            masks.append((y - centre[0] + 1) ** 2 + (x - centre[1] + 1) ** 2 <= radius**2)
    if "POLYGONAL" in shapes:
        coordinates = elements.numbers(dataset, f"VerticesOfThePolygonal{kind}")
        corners = [(x - 1, y - 1) for y, x in zip(coordinates[::2], coordinates[1::2], strict=False)]
        if len(corners) > 2:
            masks.append(_drawn(rows, columns, corners))
    inside = np.logical_and.reduce(masks) if masks else None
    return None if inside is None or inside.mean() < INSIDE else inside


def _drawn(rows: int, columns: int, corners: list[tuple[float, float]]) -> NDArray[np.bool_]:
    mask = Image.new("1", (columns, rows))
    within = [(min(max(x, -1), columns), min(max(y, -1), rows)) for x, y in corners]
    ImageDraw.Draw(mask).polygon(within, fill=1, outline=1)
    return np.asarray(mask)
