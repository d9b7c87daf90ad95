"""Uploads become greyscale images, or an error with a code."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.errors import ImageError
from ml.pictures.decode import MAX_PIXELS, MIN_SIDE, open_image
from tests import synthetic


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (synthetic.empty(), "file_empty"),
        (synthetic.text(), "not_an_image"),
        (synthetic.svg(), "not_an_image"),
        (synthetic.truncated_jpeg(), "image_truncated"),
        (synthetic.tiny_png(), "image_too_small"),
        (synthetic.bomb_png(), "image_too_large"),
        (b"\xff\xd8\xff\xe0 nothing that follows is a JPEG", "image_truncated"),
        (encoded(Image.new("L", (80, 80)), "GIF"), "not_an_image"),
    ],
)
def test_bad_input(content: bytes, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert caught.value.code == code
    assert caught.value.detail.endswith((".", "again."))


def test_a_damaged_png_is_called_damaged() -> None:
    content = bytearray(synthetic.xray_png(1, (200, 200)))
    content[200:260] = bytes(60)
    with pytest.raises(ImageError) as caught:
        open_image(bytes(content))
    assert caught.value.code in ("image_corrupt", "image_truncated")


def test_limits_are_inclusive() -> None:
    assert open_image(encoded(Image.new("L", (MIN_SIDE, MIN_SIDE)))).size == (MIN_SIDE, MIN_SIDE)
    with pytest.raises(ImageError):
        open_image(encoded(Image.new("L", (MIN_SIDE, MIN_SIDE - 1))))
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(ImageError) as caught:
        open_image(encoded(Image.new("1", (side, side))))
    assert caught.value.code == "image_too_large"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1"])
def test_every_mode_becomes_greyscale(mode: str) -> None:
    grey = synthetic.xray(2, (120, 100))
    image = open_image(encoded(grey.convert(mode)))
    assert image.mode == "L"
    assert image.size == (120, 100)
    if mode in ("RGB", "RGBA", "LA"):
        assert np.abs(np.asarray(image, int) - np.asarray(grey, int)).max() <= 1


def test_sixteen_bits_keep_their_contrast() -> None:
    values = np.linspace(1000, 5000, 100 * 100).reshape(100, 100).astype(np.uint16)
    pixels = np.asarray(open_image(encoded(Image.fromarray(values))))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert np.all(np.diff(pixels.ravel().astype(int)) >= 0)


def test_transparency_is_laid_over_black() -> None:
    image = Image.new("RGBA", (80, 80), (255, 255, 255, 0))
    assert np.asarray(open_image(encoded(image))).max() == 0


def test_the_cameras_orientation_is_applied() -> None:
    image = synthetic.xray(3, (120, 80)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert open_image(encoded(image, "JPEG", exif=exif)).size == (80, 120)
