"""The result of every module of this package."""

import io
from dataclasses import dataclass, field

from PIL import Image

from ml.errors import ImageError
from ml.pictures.depth import Samples
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

# All of its plugins, while there is memory.
Image.init()
# The limits here are stricter, and refuse with a code.
Image.MAX_IMAGE_PIXELS = None
#: Bytes that Pillow keeps a pixel in; those of all other modes are 4.
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}

#: The warning for a file whose pixels are whole.
END_MISSING = {
    "code": "end_missing",
    "detail": "The file lacks its end marker. All of its pixels are there, and were read.",
}


@dataclass
class Contents:
    """A decoded picture.

    Attributes:
        pixels: a Pillow image of at most 8 bits a sample, or the samples at their full depth.
        about: the file's metadata about its pixels.
        notes: warnings, ``{code, detail}`` each.
        browsers_show: whether a browser shows the file as it is read here.
    """

    pixels: Image.Image | Samples
    about: Metadata = field(default_factory=Metadata)
    notes: list[dict[str, str]] = field(default_factory=list)
    browsers_show: bool = False


def header(content: bytes, formats: list[str]) -> Image.Image:
    """A picture of which Pillow has read the header alone, within the limits of size and memory.

    Raises:
        ImageError: with the code ``image_too_large`` or ``image_too_small``.
    """
    image = Image.open(io.BytesIO(content), formats=formats)
    check_size(*image.size)
    check_memory(*image.size, decoded_bytes(image))
    return image


def decoded_bytes(image: Image.Image) -> int:
    """The memory in which Pillow holds the pixels and their greys."""
    return image.width * image.height * (PIXEL_BYTES.get(image.mode, 4) + (image.mode != "L"))


def deep_bytes(width: int, height: int, channels: int, sample: int = 2, copies: int = 1) -> int:
    """The memory for a number of copies of samples of a size, and their greys."""
    return width * height * (channels * sample * copies + 1)


def one_picture(count: int, what: str = "pictures") -> None:
    """Refuse a file that holds several pictures: the intended one is unknown.

    Raises:
        ImageError: with the code ``several_pictures``.
    """
    if count > 1:
        raise ImageError(
            "several_pictures", f"This file holds several {what}. Please send each X-ray as a file of its own."
        )


def truncated() -> ImageError:
    return ImageError(
        "image_truncated", "The file ends before the image does; it was probably cut off. Please upload it again."
    )


def corrupt() -> ImageError:
    return ImageError("image_corrupt", "The image data is damaged and cannot be decoded. Please export it again.")


def unsupported(what: str) -> ImageError:
    """For a file that is whole, of a kind that nothing here reads."""
    return ImageError("encoding_not_supported", f"{what} is not read here. Please export the X-ray as DICOM or PNG.")
