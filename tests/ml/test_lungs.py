"""Finding the lungs, learning them from outlines, and measuring how well two masks agree."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ml.inference import lungs
from ml.pictures.preprocess import Preprocessing, to_input
from ml.training import lungs as training
from tests import synthetic


def drawn(seed: int = 0, lower: int = 0) -> np.ndarray:
    """A drawn chest's input, moved down by ``lower`` of its 224 pixels."""
    picture = synthetic.xray(seed, (448, 448))
    moved = Image.new("L", picture.size)
    moved.paste(picture, (0, 2 * lower))
    return to_input(moved, Preprocessing())


def test_the_lungs_of_a_drawn_chest_are_found() -> None:
    upper, lower = lungs.masks(np.stack([drawn(), drawn(lower=32)]))
    for mask in (upper, lower):
        assert mask.shape == (14, 14)
        assert mask[6:9, 3:5].mean() > 0.5
        assert mask[6:9, 9:11].mean() > 0.5
        assert mask[:, :1].max() < 0.3
        assert mask[12:, 6:8].max() < 0.3
    middle = [float((mask.sum(axis=1) * np.arange(14)).sum() / mask.sum()) for mask in (upper, lower)]
    assert middle[1] > middle[0] + 0.5, "masks follow the lungs and not the middle of the picture"


def test_inputs_of_any_size_are_accepted() -> None:
    small = np.asarray(Image.fromarray(drawn()).resize((64, 64)))
    assert lungs.masks(small[None]).shape == (1, 14, 14)


def test_the_mask_of_an_outline_is_the_share_of_lung_at_each_place() -> None:
    half = training.Outlined("a", "own", np.zeros((224, 224), np.uint8), [[[0, 0], [50, 0], [50, 100], [0, 100]]])
    mask = half.mask()
    assert mask[:, :7].min() == 1
    assert mask[:, 8:].max() == 0
    mirrored = half.mask(np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1.0]]))
    assert (mirrored[:, :6].max(), mirrored[:, 8:].min()) == (0, 1)


def test_a_copy_and_its_mask_move_together() -> None:
    """The outlined lung is a bright square on black, so each copy's mask must lie on its bright pixels."""
    picture = Image.new("L", (224, 224))
    ImageDraw.Draw(picture).rectangle((60, 60, 150, 110), fill=255)
    square = [[x / 2.24, y / 2.24] for x, y in ((60, 60), (150, 60), (150, 110), (60, 110))]
    outlined = training.Outlined("a", "own", np.asarray(picture), [square])
    rng = np.random.default_rng(1)
    for _ in range(8):
        image, mask = training._copy(outlined, rng)
        bright = image[..., 0].reshape(14, 4, 14, 4).mean(axis=(1, 3)) > 0
        assert training.dice(bright.astype(float), mask) > 0.8


def test_dice_is_one_for_equal_masks_and_zero_for_disjoint_ones() -> None:
    one = np.zeros((14, 14))
    one[2:4] = 1
    other = np.roll(one, 5, axis=0)
    assert [training.dice(one, one), training.dice(one, other), training.dice(one, one + other)] == [
        1, 0, pytest.approx(2 / 3)
    ]  # fmt: skip


def test_each_outline_has_two_lungs_inside_its_picture() -> None:
    for by_name in json.loads(training.OUTLINES.read_text()).values():
        for name, outline in by_name.items():
            assert not Path(name).is_absolute()
            corners = np.concatenate(outline)
            assert (len(outline), corners.min() >= 0, corners.max() <= 100) == (2, True, True), name


@pytest.mark.training
def test_learnt_layers_find_lungs_and_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few drawn chests are enough to find the lungs of another one."""
    monkeypatch.setattr(training, "COPIES", 30)
    around = ((-16, 0), (-11, -24), (0, -34), (11, -24), (16, 0), (11, 24), (0, 34), (-11, 24))
    outline = [[[x + dx, 50 + dy] for dx, dy in around] for x in (29, 71)]
    outlined = [training.Outlined("a", "own", drawn(seed), outline) for seed in range(4)]
    layers = training.fit(outlined[:3])
    assert training.dice(lungs.mask(lungs.network_input(outlined[3].input), layers), outlined[3].mask()) > 0.6
    training.save(layers, tmp_path / "lungs.npz")
    with np.load(tmp_path / "lungs.npz") as stored:
        assert stored["kernel0"].shape == (3, 3, 3, lungs.CHANNELS[0])
