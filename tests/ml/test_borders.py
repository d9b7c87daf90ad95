"""Borders around an X-ray are found and cut off; an X-ray without any is left alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from ml.evaluation import bordered
from ml.pictures import borders, xray
from ml.pictures.decode import open_image
from ml.pictures.warnings import BORDERS_REMOVED
from tests import synthetic

SIZE = (450, 350)


def chest(seed: int) -> Image.Image:
    return synthetic.xray(seed, SIZE)


def as_jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return Image.open(stream).convert("L")


def deviation(box: borders.Box, left: int, top: int) -> int:
    """Largest distance in pixels between a side of a box and that side of the X-ray."""
    return max(
        abs(box.left - left),
        abs(box.top - top),
        abs(box.right - left - SIZE[0]),
        abs(box.bottom - top - SIZE[1]),
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [(224, 224), SIZE, pytest.param((1300, 1000), marks=pytest.mark.long)])
def test_an_xray_without_borders_is_left_alone(seed: int, size: tuple[int, int]) -> None:
    for picture in (synthetic.xray(seed, size), as_jpeg(synthetic.xray(seed, size))):
        found = xray.find(picture)
        assert found.box == (0, 0, *size)
        assert found.image is picture
        assert found.warnings == []


def round_body() -> Image.Image:
    """A round body with black air on both sides: at least 60 of 600 pixels, and nearly constant along whole edges."""
    picture = Image.new("L", (600, 500))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((60, -150, 540, 900), fill=120)
    pen.ellipse((140, 60, 290, 460), fill=50)
    pen.ellipse((310, 60, 460, 460), fill=50)
    values = np.asarray(picture, dtype=float) + np.random.default_rng(0).normal(0, 1.5, (500, 600))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def test_air_beside_a_body_is_no_border() -> None:
    assert borders.find(round_body()) == (0, 0, 600, 500)


@pytest.mark.parametrize("level", [0, 90, 255])
@pytest.mark.parametrize(("share", "sides"), [(0.01, "r"), (0.02, "lr"), (0.05, "tb"), (0.05, "l"), (0.1, "ltrb")])
def test_strips_are_cut(share: float, sides: str, level: int) -> None:
    width = round(SIZE[0] * share)
    for seed in range(3):
        framed = as_jpeg(bordered.strip(share, sides, level)(chest(seed), np.random.default_rng(0)))
        found = xray.find(framed)
        assert deviation(found.box, width * ("l" in sides), width * ("t" in sides)) <= 2
        assert found.image.size == (found.box.width, found.box.height)
        assert found.warnings == [BORDERS_REMOVED]


@pytest.mark.parametrize("ratio", [4 / 3, 16 / 9, 1.0, 3 / 4])
@pytest.mark.parametrize("level", [0, 255])
def test_letterboxes_are_cut(ratio: float, level: int) -> None:
    framed = as_jpeg(bordered.letterbox(ratio, level)(chest(4), np.random.default_rng(0)))
    left, top = (framed.width - SIZE[0]) // 2, (framed.height - SIZE[1]) // 2
    assert deviation(borders.find(framed), left, top) <= 2


def test_a_strip_with_letters_is_cut() -> None:
    framed = bordered.strip(0.1, "t", 0)(chest(2), np.random.default_rng(0))
    ImageDraw.Draw(framed).text((20, 12), "R  12:47:54", fill=255)
    assert deviation(borders.find(framed), 0, 45) <= 2


def test_a_screenshot_is_cut_to_the_picture_in_it() -> None:
    close = 0
    for seed in range(8):
        screen = as_jpeg(bordered.screenshot(chest(seed), np.random.default_rng(seed)))
        box = borders.find(screen)
        close += abs(box.width / box.height - SIZE[0] / SIZE[1]) < 0.04 and box.width < 0.85 * screen.width
    assert close >= 7


def airy() -> Image.Image:
    """A chest with black, noiseless air down both sides."""
    picture = Image.new("L", (460, 380))
    picture.paste(synthetic.xray(3, (360, 380)), (50, 0))
    return picture


def test_air_does_not_hide_a_border_that_other_sides_show() -> None:
    chest = airy()
    values = np.asarray(chest)
    assert values[:, :40].max() == 0, "the chest has a strip that looks like air, which stays"
    framed = Image.new("L", (540, 460))
    framed.paste(chest, (40, 40))
    expected = borders.find(chest)
    assert borders.find(framed) == tuple(edge + 40 for edge in expected)


def test_black_air_is_not_cut_with_a_white_border() -> None:
    framed = Image.new("L", (460, 460), 255)
    chest = airy()
    framed.paste(chest, (0, 40))
    inside = borders.find(framed)
    assert (inside.top, inside.bottom) == (40, 420)
    assert (inside.left, inside.right) == borders.find(chest)[::2]


@pytest.mark.parametrize("degrees", [-6, -3, -1, 0.5, 2, 8])
@pytest.mark.parametrize("level", [0, 255])
def test_an_xray_that_is_turned_in_its_picture_is_found_and_turned_upright(degrees: float, level: int) -> None:
    """Its sides are where they were, to a few pixels, and nothing of its surroundings is left."""
    picture = synthetic.xray(2, (900, 700))
    turned = as_jpeg(picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=level))
    found = xray.find(turned)
    assert np.abs(np.subtract(found.image.size, picture.size)).max() <= 8
    assert found.warnings == [BORDERS_REMOVED]
    assert np.abs(np.subtract(found.box, (0, 0, *turned.size))).max() <= 8
    upright = np.asarray(found.image.resize((90, 70)), float)
    assert np.abs(upright - np.asarray(picture.resize((90, 70)), float)).mean() < 3
    assert borders.find(found.image) == (0, 0, *found.image.size)


def test_a_body_in_air_has_no_straight_sides() -> None:
    body = Image.new("L", (600, 600))
    ImageDraw.Draw(body).polygon(
        [(300, 60), (480, 160), (540, 320), (420, 520), (200, 540), (80, 380), (120, 150)], 140
    )
    assert xray.find(body.filter(ImageFilter.GaussianBlur(3))).box == (0, 0, 600, 600)


def test_black_air_of_an_xray_on_a_screen_is_cut_with_the_bars() -> None:
    framed = bordered.letterbox(16 / 9, 0)(round_body(), np.random.default_rng(0))
    body = (framed.width - 600) // 2 + 60
    left, top, right, bottom = borders.find(framed)
    assert (top, bottom) == (0, 500)
    assert 0 <= left - body <= 12
    assert 0 <= framed.width - body - right <= 12
    narrower = framed.crop((9, 0, framed.width, 500))
    assert borders.find(narrower) == (0, 0, *narrower.size), "no screen has this shape"


def test_a_large_picture_is_cut_to_a_few_pixels() -> None:
    framed = Image.new("L", (3300, 2600), 255)
    framed.paste(synthetic.xray(1).resize((2500, 2000)), (500, 300))
    assert np.abs(np.subtract(borders.find(framed), (500, 300, 3000, 2300))).max() <= 4


def test_a_cut_never_leaves_less_than_an_xrays_smallest_size() -> None:
    for picture in (Image.new("L", (300, 300)), Image.new("L", (64, 64), 200)):
        assert borders.find(picture) == (0, 0, *picture.size)
    dot = Image.new("L", (600, 600))
    dot.paste(synthetic.xray(1, (40, 40)), (280, 280))
    assert borders.find(dot) == (0, 0, 600, 600)


@pytest.mark.real_data
def test_full_size_originals_are_left_alone(originals: list[Path]) -> None:
    """One of the 60 does have two strips. Nothing but these is cut off."""
    changed = []
    for file in originals:
        picture = open_image(file.read_bytes())
        if borders.find(picture) != (0, 0, *picture.size):
            changed.append(file.stem)
    assert changed == ["person972_bacteria_2897"]
