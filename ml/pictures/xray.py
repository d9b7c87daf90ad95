"""From a decoded picture to the X-ray in it: the step between decoding and preprocessing, in training and serving.

It belongs to decoding and not to a bundle's preprocessing: what a border is does not depend on which model reads what
lies inside. Callers that open a file use :func:`find`.
"""

from dataclasses import dataclass, field

from PIL import Image

from ml.pictures import borders, photographs
from ml.pictures.borders import Box
from ml.pictures.decode import open_image
from ml.pictures.warnings import BORDERS_REMOVED, PHOTOGRAPH_OF_FILM


@dataclass(frozen=True)
class Xray:
    """An X-ray and where it was found.

    Attributes:
        image: the X-ray alone, mode ``L``.
        box: its place in the picture.
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
    box = borders.find(picture)
    whole = Box(0, 0, *picture.size)
    if photographs.is_photograph(picture, bordered=box != whole):
        return Xray(picture, whole, [PHOTOGRAPH_OF_FILM])
    if box == whole:
        return Xray(picture, box)
    return Xray(picture.crop(box), box, [BORDERS_REMOVED])


def load(source: bytes) -> Image.Image:
    """The X-ray in a file that is known to be no photograph, mode ``L``.

    Raises:
        ImageError: as :func:`ml.pictures.decode.open_image`.
    """
    picture = open_image(source)
    return picture.crop(borders.find(picture))
