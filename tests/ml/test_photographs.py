"""Photographs of films and screens are recognised; X-ray files and screenshots are not mistaken for them."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.evaluation import bordered
from ml.evaluation.photographed import photograph
from ml.inference import novelty
from ml.pictures import photographs, xray
from ml.pictures.decode import open_image
from ml.pictures.warnings import BORDERS_REMOVED, PHOTOGRAPH_OF_FILM
from tests import synthetic

#: EXIF tags that cameras write: exposure time, aperture, focal length.
CAMERA_TAGS = {33434: 0.02, 33437: 1.8, 37386: 4.2}


def encoded(picture: Image.Image, exif: Image.Exif | None = None) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90, exif=exif or Image.Exif())
    return stream.getvalue()


@pytest.mark.long
def test_most_photographs_are_recognised() -> None:
    recognised = []
    for seed in range(12):
        taken = photograph(synthetic.xray(seed, (450, 400)), np.random.default_rng(seed), side=800)
        recognised.append(xray.find(open_image(taken.content)).warnings == [PHOTOGRAPH_OF_FILM])
    assert sum(recognised) >= 10


@pytest.mark.long
def test_the_same_seed_takes_the_same_photograph() -> None:
    one, same = (photograph(synthetic.xray(1), np.random.default_rng(5)) for _ in range(2))
    assert one.content == same.content
    np.testing.assert_array_equal(one.corners, same.corners)


@pytest.mark.parametrize("seed", range(6))
def test_files_and_screenshots_of_xrays_are_not_taken_for_photographs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chest = synthetic.xray(seed, (600, 500))
    for picture in (chest, bordered.screenshot(chest, rng), bordered.film(chest, rng), chest.convert("RGB")):
        assert PHOTOGRAPH_OF_FILM not in xray.find(open_image(encoded(picture))).warnings


def test_coloured_letters_do_not_make_an_xray_a_photograph() -> None:
    chest = synthetic.xray(3, (600, 500)).convert("RGB")
    chest.paste((255, 220, 0), (20, 20, 160, 60))
    chest.paste((0, 160, 255), (250, 200, 300, 260))
    assert not photographs.is_photograph(open_image(encoded(chest)))


def test_a_tinted_picture_is_taken_for_a_photograph() -> None:
    grey = synthetic.xray(3, (600, 500))
    tinted = Image.merge("RGB", (grey, grey.point(lambda level: level * 0.94), grey.point(lambda level: level * 0.85)))
    assert photographs.is_photograph(open_image(encoded(tinted)))


def test_a_cameras_exif_identifies_a_photograph() -> None:
    exif = Image.Exif()
    exif[photographs.EXIF_IFD] = CAMERA_TAGS
    assert photographs.is_photograph(open_image(encoded(synthetic.xray(1), exif)))
    scanner = Image.Exif()
    scanner[271], scanner[272] = "Scans", "A4"
    assert not photographs.is_photograph(open_image(encoded(synthetic.xray(1), scanner)))


def test_a_sheet_seen_at_an_angle_is_found_and_rectified() -> None:
    """The projection is known, so the rectified sheet must look like the X-ray."""
    import cv2

    chest = synthetic.xray(2, (500, 420))
    corners = np.array([[150, 90], [640, 130], [610, 560], [120, 500]], np.float32)
    flat = np.array([[0, 0], [500, 0], [500, 420], [0, 420]], np.float32)
    turn = cv2.getPerspectiveTransform(flat, corners)
    wall = np.random.default_rng(0).normal(150, 25, (15, 18)).astype(np.float32)
    room = cv2.resize(wall, (800, 650), interpolation=cv2.INTER_CUBIC)
    seen = cv2.warpPerspective(np.asarray(chest).astype(np.float32) * 0.7, turn, (800, 650))
    inside = cv2.warpPerspective(np.ones((420, 500), np.float32), turn, (800, 650)) > 0
    picture = Image.fromarray(np.where(inside, seen, room).clip(0, 255).astype(np.uint8))
    found = photographs.find_sheet(picture)
    assert found is not None
    assert np.abs(found - corners).max() < 10
    front = photographs.rectified(picture, found).resize((500, 420))
    assert np.corrcoef(np.asarray(front).ravel(), np.asarray(chest).ravel())[0, 1] > 0.95


def test_a_photograph_gets_no_second_warning() -> None:
    other = {"code": novelty.CODE, "detail": novelty.DETAIL}
    assert novelty.together([PHOTOGRAPH_OF_FILM], [other]) == [PHOTOGRAPH_OF_FILM]
    assert novelty.together([BORDERS_REMOVED], [other]) == [other, BORDERS_REMOVED]
    assert novelty.together([], [other]) == [other]


@pytest.mark.parametrize("size", [(64, 60_000), (60_000, 64)])
def test_a_strip_of_pixels_is_searched_like_any_picture(size: tuple[int, int]) -> None:
    picture = Image.new("L", size, 90)
    picture.info = {"colour": None}
    assert xray.find(picture).image.size == size
