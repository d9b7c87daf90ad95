"""From a decoded picture to the X-ray in it: the step between decoding and preprocessing, in training and serving.

It belongs to decoding and not to a bundle's preprocessing: what a border is does not depend on which model reads what
lies inside. Callers that open a file use :func:`find`.
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
        box: its place in the picture. One that was turned lies in its middle.
        warnings: ``{code, detail}`` each, for the person who acts on the reading.
    """

    image: Image.Image
    box: Box
    warnings: list[dict[str, str]] = field(default_factory=list)


def find(picture: Image.Image) -> Xray:
    """The X-ray in a picture.

    Args:
        picture: mode ``L``, any size, from :func:`ml.pictures.decode.open_image`.
    """
    found = place(picture)
    return replace(found, warnings=found.warnings or sheet_warnings(picture))


def place(picture: Image.Image) -> Xray:
    """As :func:`find`, but where there are no warnings, those of :func:`sheet_warnings` are still to be found.

    These take the longest, and change neither the image nor its place: both are the whole picture.
    """
    image, box = without_borders(picture)
    if photographs.is_from_camera(picture):
        return Xray(picture, Box(0, 0, *picture.size), [PHOTOGRAPH_OF_FILM])
    return Xray(image, box, [] if image is picture else [BORDERS_REMOVED])


def sheet_warnings(picture: Image.Image) -> list[dict[str, str]]:
    """What is said of a picture without borders if it shows a film or screen at an angle."""
    return [] if photographs.sheet(picture) is None else [PHOTOGRAPH_OF_FILM]


def without_borders(picture: Image.Image) -> tuple[Image.Image, Box]:
    """What lies inside of all borders, upright, and its place; the very same picture where there is none."""
    box, image = Box(0, 0, *picture.size), picture
    corners = collimation.find(picture)
    if corners is None and (found := borders.find(picture)) != box:
        box, image = found, picture.crop(found)
        corners = collimation.find(image)
    if corners is None:
        return image, box
    turned = corners + np.array([box.left, box.top], np.float32)
    (left, top), (right, bottom) = turned.min(axis=0).round(), turned.max(axis=0).round()
    place = Box(
        max(int(left), box.left), max(int(top), box.top), min(int(right), box.right), min(int(bottom), box.bottom)
    )
    return photographs.rectified(image, corners), place


def load(source: bytes) -> Image.Image:
    """The X-ray in a file that is known to be no photograph, mode ``L``.

    Raises:
        ImageError: as :func:`ml.pictures.decode.open_image`.
    """
    return without_borders(open_image(source))[0]
