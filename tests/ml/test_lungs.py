"""The lungs are found, learnt from outlines, and judged by how much two masks agree."""

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
    """A drawn chest's input; moved down by so many pixels of 224."""
    picture = synthetic.xray(seed, (448, 448))
    moved = Image.new("L", picture.size)
    moved.paste(picture, (0, 2 * lower))
    return to_input(moved, Preprocessing())


def test_the_lungs_of_a_drawn_chest_are_found_where_they_are() -> None:
    upper, lower = lungs.masks(np.stack([drawn(), drawn(lower=32)]))
    for mask in (upper, lower):
        assert mask.shape == (14, 14)
        assert mask[6:9, 3:5].mean() > 0.5
        assert mask[6:9, 9:11].mean() > 0.5
        assert mask[:, :1].max() < 0.3
        assert mask[12:, 6:8].max() < 0.3
    middle = [float((mask.sum(axis=1) * np.arange(14)).sum() / mask.sum()) for mask in (upper, lower)]
    assert middle[1] > middle[0] + 0.5, "they follow the picture, not its middle"


def test_inputs_of_any_size_are_taken() -> None:
    small = np.asarray(Image.fromarray(drawn()).resize((64, 64)))
    assert lungs.masks(small[None]).shape == (1, 14, 14)


def test_an_outline_becomes_the_part_of_each_place_that_is_lung() -> None:
    half = training.Outlined("a", "own", np.zeros((224, 224), np.uint8), [[[0, 0], [50, 0], [50, 100], [0, 100]]])
    mask = half.mask()
    assert mask[:, :7].min() == 1
    assert mask[:, 8:].max() == 0
    mirrored = half.mask(np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1.0]]))
    assert (mirrored[:, :6].max(), mirrored[:, 8:].min()) == (0, 1)


def test_a_copy_and_its_mask_move_together() -> None:
    """A bright square on black, outlined: wherever a copy has it, its mask has it too."""
    picture = Image.new("L", (224, 224))
    ImageDraw.Draw(picture).rectangle((60, 60, 150, 110), fill=255)
    square = [[x / 2.24, y / 2.24] for x, y in ((60, 60), (150, 60), (150, 110), (60, 110))]
    outlined = training.Outlined("a", "own", np.asarray(picture), [square])
    rng = np.random.default_rng(1)
    for _ in range(8):
        seen, mask = training._copy(outlined, rng)
        bright = seen[..., 0].reshape(14, 4, 14, 4).mean(axis=(1, 3)) > 0
        assert training.dice(bright.astype(float), mask) > 0.8


def test_dice_is_one_for_the_same_and_nothing_for_others() -> None:
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
def test_what_is_learnt_is_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few drawn chests are enough to find the lungs of another one."""
    monkeypatch.setattr(training, "COPIES", 30)
    around = ((-16, 0), (-11, -24), (0, -34), (11, -24), (16, 0), (11, 24), (0, 34), (-11, 24))
    outline = [[[x + dx, 50 + dy] for dx, dy in around] for x in (29, 71)]
    learnt = [training.Outlined("a", "own", drawn(seed), outline) for seed in range(4)]
    layers = training.fit(learnt[:3])
    assert training.dice(lungs.mask(lungs.network_input(learnt[3].input), layers), learnt[3].mask()) > 0.6
    training.save(layers, tmp_path / "lungs.npz")
    with np.load(tmp_path / "lungs.npz") as stored:
        assert stored["kernel0"].shape == (3, 3, 3, lungs.CHANNELS[0])
