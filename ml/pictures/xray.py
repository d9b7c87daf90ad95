"""Find the X-ray in a decoded picture: the step between decoding and preprocessing, in training and serving.

This step is not part of a bundle's preprocessing, since borders do not depend on the model that reads the X-ray.
Callers that open a file use :func:`find`.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from ml.pictures import borders, collimation, photographs
from ml.pictures.borders import Box
from ml.pictures.decode import open_image
from ml.pictures.warnings import BORDERS_REMOVED, PHOTOGRAPH_OF_FILM


@dataclass(frozen=True)
class Xray:
    """An X-ray and where it was found.

    Attributes:
        image: the X-ray alone, upright, mode ``L``.
        box: its place in the picture. For a turned X-ray, the upright box around it.
        warnings: dictionaries ``{code, detail}`` for the person who acts on the reading.
    """

    image: Image.Image
    box: Box
    warnings: list[dict[str, str]] = field(default_factory=list)


def find(picture: Image.Image) -> Xray:
    """Find the X-ray in a picture.

    Args:
        picture: mode ``L``, any size, from :func:`ml.pictures.decode.open_image`.
    """
    found = find_without_sheet(picture)
    return replace(found, warnings=found.warnings or sheet_warnings(picture))


def find_without_sheet(picture: Image.Image) -> Xray:
    """Do the same as :func:`find`, but without :func:`sheet_warnings`, which the caller adds if there are no warnings.

    That check takes the longest and changes neither the image nor its place: without warnings, both are the whole
    picture.
    """
    image, box = without_borders(picture)
    if photographs.is_from_camera(picture):
        return Xray(picture, Box(0, 0, *picture.size), [PHOTOGRAPH_OF_FILM])
    return Xray(image, box, [] if image is picture else [BORDERS_REMOVED])


def sheet_warnings(picture: Image.Image) -> list[dict[str, str]]:
    """Warn if a picture without borders shows a film or screen at an angle."""
    return [] if photographs.find_sheet(picture) is None else [PHOTOGRAPH_OF_FILM]


def without_borders(picture: Image.Image) -> tuple[Image.Image, Box]:
    """Return the part inside all borders, upright, and its place; without borders, the same picture object."""
    box, image = Box(0, 0, *picture.size), picture
    corners = collimation.find(picture)
    if corners is None and (found := borders.find(picture)) != box:
        box, image = found, picture.crop(found)
        corners = collimation.find(image)
    if corners is None:
        return image, box
    placed = corners + np.array([box.left, box.top], np.float32)
    (left, top), (right, bottom) = placed.min(axis=0).round(), placed.max(axis=0).round()
    bounds = Box(
        max(int(left), box.left), max(int(top), box.top), min(int(right), box.right), min(int(bottom), box.bottom)
    )
    return photographs.rectified(image, corners), bounds


def load(source: bytes) -> Image.Image:
    """Load the X-ray, mode ``L``, from a file that is known not to be a photograph.

    Raises:
        ImageError: as :func:`ml.pictures.decode.open_image`.
    """
    return without_borders(open_image(source))[0]
