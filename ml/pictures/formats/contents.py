"""The result and the common checks of all modules of this package."""

import io
from dataclasses import dataclass, field

from PIL import Image

from ml.errors import ImageError
from ml.pictures.depth import Samples
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

# Load all plugins now, while there is enough memory.
Image.init()
# The limits of this package are stricter, and give an error code.
Image.MAX_IMAGE_PIXELS = None
#: Bytes per pixel in Pillow by mode; all other modes take 4.
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}

#: Warning for a file that lacks its end marker but has all of its pixels.
END_MISSING = {
    "code": "end_missing",
    "detail": "The file lacks its end marker. All of its pixels are there, and were read.",
}


@dataclass
class Contents:
    """A decoded picture.

    Attributes:
        pixels: a Pillow image of at most 8 bits a sample, or the samples at their full depth.
        metadata: the file's metadata about its pixels.
        notes: warnings: dictionaries ``{code, detail}``.
        browsers_show: whether a browser shows the file exactly as it is decoded here.
    """

    pixels: Image.Image | Samples
    metadata: Metadata = field(default_factory=Metadata)
    notes: list[dict[str, str]] = field(default_factory=list)
    browsers_show: bool = False


def header(content: bytes, formats: list[str]) -> Image.Image:
    """Open a picture with Pillow, which reads only the header, and check the limits of size and memory.

    Raises:
        ImageError: with the code ``image_too_large`` or ``image_too_small``.
    """
    image = Image.open(io.BytesIO(content), formats=formats)
    check_size(*image.size)
    check_memory(*image.size, decoded_bytes(image))
    return image


def decoded_bytes(image: Image.Image) -> int:
    """Memory, in bytes, that Pillow needs for the pixels and their greys."""
    return image.width * image.height * (PIXEL_BYTES.get(image.mode, 4) + (image.mode != "L"))


def deep_bytes(width: int, height: int, channels: int, sample: int = 2, copies: int = 1) -> int:
    """Memory, in bytes, for copies of samples of ``sample`` bytes each, and for their greys."""
    return width * height * (channels * sample * copies + 1)


def check_single_picture(count: int, noun: str = "pictures") -> None:
    """Refuse a file that holds several pictures: the intended one is unknown.

    Raises:
        ImageError: with the code ``several_pictures``.
    """
    if count > 1:
        raise ImageError(
            "several_pictures", f"This file holds several {noun}. Please send each X-ray as a separate file."
        )


def truncated() -> ImageError:
    return ImageError(
        "image_truncated", "The file ends before the image does; it was probably cut off. Please upload it again."
    )


def corrupt() -> ImageError:
    return ImageError("image_corrupt", "The image data is damaged and cannot be decoded. Please export it again.")


def unsupported(subject: str) -> ImageError:
    """Error for an intact file of a kind that cannot be decoded here."""
    return ImageError("encoding_not_supported", f"{subject} is not supported. Please export the X-ray as DICOM or PNG.")
