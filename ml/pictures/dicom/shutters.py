"""The parts of a picture that no X-rays reached, or that are not to be shown: outside of collimator and shutter."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from ml.pictures.dicom import elements

#: The least share of a picture that lies inside. One that leaves less is a mistake.
INSIDE = 0.02


def shutter(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Where the picture is to be shown (Display Shutter, PS3.3 C.7.6.11); None for everywhere."""
    return _inside(dataset, "Shutter", rows, columns)


def collimator(dataset: Dataset, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """Where X-rays fell (X-Ray Collimator, PS3.3 C.8.7.3); None for everywhere."""
    return _inside(dataset, "Collimator", rows, columns)


def _inside(dataset: Dataset, kind: str, rows: int, columns: int) -> NDArray[np.bool_] | None:
    """All shapes of a kind together: what is inside of each. Rows and columns count from 1."""
    shapes = elements.value(dataset, f"{kind}Shape")
    wanted = {str(shapes)} if isinstance(shapes, str) else set(map(str, shapes or ()))
    masks = []
    if "RECTANGULAR" in wanted:
        names = (f"{kind}{side}" for side in ("LeftVerticalEdge", "UpperHorizontalEdge", "RightVerticalEdge",
                                             "LowerHorizontalEdge"))  # fmt: skip
        edges = [elements.number(dataset, name) for name in names]
        if None not in edges:
            left, top, right, bottom = (float(edge or 0) - 1 for edge in edges)
            masks.append(_drawn(rows, columns, [(left, top), (right, top), (right, bottom), (left, bottom)]))
    if "CIRCULAR" in wanted:
        centre = elements.numbers(dataset, f"CenterOfCircular{kind}")
        radius = elements.number(dataset, f"RadiusOfCircular{kind}")
        if len(centre) == 2 and radius and radius > 0:
            y, x = np.ogrid[:rows, :columns]
            masks.append((y - centre[0] + 1) ** 2 + (x - centre[1] + 1) ** 2 <= radius**2)
    if "POLYGONAL" in wanted:
        places = elements.numbers(dataset, f"VerticesOfThePolygonal{kind}")
        corners = [(x - 1, y - 1) for y, x in zip(places[::2], places[1::2], strict=False)]
        if len(corners) > 2:
            masks.append(_drawn(rows, columns, corners))
    inside = np.logical_and.reduce(masks) if masks else None
    return None if inside is None or inside.mean() < INSIDE else inside


def _drawn(rows: int, columns: int, corners: list[tuple[float, float]]) -> NDArray[np.bool_]:
    mask = Image.new("1", (columns, rows))
    within = [(min(max(x, -1), columns), min(max(y, -1), rows)) for x, y in corners]
    ImageDraw.Draw(mask).polygon(within, fill=1, outline=1)
    return np.asarray(mask)
