"""Uploads become greyscale images, or an error with a code."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from ml.errors import ImageError
from ml.pictures import decode, limits
from ml.pictures.decode import open_image
from ml.pictures.limits import MAX_DECODED_BYTES, MAX_PIXELS, MIN_SIDE
from ml.pictures.metadata import Metadata
from tests import synthetic
from tests.inputs.containers import xmp
from tests.zips import STORED, File, build


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
        (encoded(Image.new("L", (80, 80)), "PPM"), "format_not_supported"),
        (build(File(b"a.jpg", synthetic.xray_jpeg(size=(160, 120)), method=STORED)), "not_an_image"),
    ],
)
def test_invalid_content_is_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert caught.value.code == code
    assert caught.value.detail.endswith((".", "again."))


def test_a_damaged_png_is_reported_as_damaged() -> None:
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


def test_transparency_is_composited_over_black() -> None:
    image = Image.new("RGBA", (80, 80), (255, 255, 255, 255))
    image.paste((255, 255, 255, 0), (0, 0, 80, 40))
    pixels = np.asarray(open_image(encoded(image)))
    assert pixels[:40].max() == 0
    assert pixels[40:].min() == 255


def test_the_cameras_orientation_is_applied() -> None:
    image = synthetic.xray(3, (120, 80)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert open_image(encoded(image, "JPEG", exif=exif)).size == (80, 120)


def decoded_at_once(content: bytes) -> Image.Image:
    """Decode like :func:`open_image`, but all pixels at once instead of in strips."""
    image = Image.open(io.BytesIO(content))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float32)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(np.rint((values - low) * (255.0 / (high - low))).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return image.convert("L")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_decoding_in_strips_changes_no_pixel(mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(orientation).integers(0, 256, (131, 97, 4), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode) if mode != "I;16" else Image.fromarray(noise.view(np.uint16)[..., 0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(image, exif=exif, **({"transparency": 3} if mode == "P" else {}))
    monkeypatch.setattr(decode, "STRIP", 10 * image.width)
    strips = open_image(content)
    assert strips.size == decoded_at_once(content).size
    assert strips.tobytes() == decoded_at_once(content).tobytes()


def jpeg(width: int, height: int, **options) -> bytes:
    """A small JPEG whose header claims another size."""
    content = bytearray(encoded(Image.new(options.pop("mode", "RGB"), (64, 64)), "JPEG", **options))
    frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def one_component_per_scan(content: bytes) -> bytes:
    scan = content.index(b"\xff\xda")
    return content[: scan + 2] + b"\x00\x08\x01" + content[scan + 5 : scan + 7] + content[scan + 11 :]


@pytest.mark.parametrize(
    "content",
    [
        synthetic.bomb_png(10_000, "I;16"),
        synthetic.bomb_png(10_000, "RGBA"),
        synthetic.bomb_png(8_000, "RGB"),
        jpeg(8_000, 8_000, mode="CMYK"),
        jpeg(9_900, 9_900, progressive=True),
        one_component_per_scan(jpeg(9_900, 9_900)),
    ],
    ids=["16 bits", "RGBA", "RGB", "CMYK", "progressive", "scan by scan"],
)
def test_a_picture_that_needs_too_much_memory_is_refused_before_decoding(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert caught.value.code == "image_too_large"
    assert "MB to decode" in caught.value.detail


@pytest.mark.parametrize("content", [jpeg(9_900, 9_900), jpeg(7_000, 7_000, progressive=True)])
def test_a_large_jpeg_is_decoded_as_grey(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append((image.mode, image.size)) or 1 / 0)
    with pytest.raises(ImageError):
        open_image(content)
    assert decoded[0][0] == "L"
    assert decoded[0][1][0] in (9_900, 7_000), "it is decoded at its full size"


def test_a_large_colour_jpeg_decoded_as_grey_keeps_its_greys(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(synthetic.xray(2, (400, 300)).convert("RGB"), "JPEG", quality=95)
    expected = np.asarray(open_image(content), int)
    monkeypatch.setattr(limits, "MAX_DECODED_BYTES", 400 * 300 * 2)
    assert np.abs(np.asarray(open_image(content), int) - expected).max() <= 1


def test_large_radiographs_are_within_the_limit() -> None:
    assert MAX_DECODED_BYTES > 9_000 * 9_000 * 3, "16 bits"
    assert MAX_DECODED_BYTES > 7_000 * 7_000 * 5, "in colour"


@pytest.mark.parametrize("orientation", [0, 9, 16, 66])
def test_an_invalid_orientation_is_ignored(orientation: int) -> None:
    metadata = Metadata()
    metadata.read_orientation(None, xmp(orientation))
    assert metadata.orientation == 1
