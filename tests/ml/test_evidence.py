"""Whether an answer rests on the chest."""

from pathlib import Path

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.inference import evidence

BUNDLE = Bundle.read(Path(__file__).resolve().parents[2] / "models" / "vgg16-pneumonia-1.2.0")
DOUBT = [{"code": "not_chest_xray", "detail": "A pagoda."}]


def lit(*places: tuple[int, int], side: int = 14) -> np.ndarray:
    """A map with these places at full strength: rows and columns."""
    heatmap = np.zeros((side, side), np.uint8)
    for place in places:
        heatmap[place] = 255
    return heatmap


def share(heatmap: np.ndarray) -> float:
    return float(evidence.share_inside(heatmap[None])[0])


def test_the_box_is_in_the_middle_and_as_large_as_it_says():
    assert share(np.full((14, 14), 9, np.uint8)) == pytest.approx(0.72 * 0.66)
    assert share(np.full((7, 10), 9, np.uint8)) == pytest.approx(0.72 * 0.66), "of any shape"
    assert share(lit((7, 7))) == pytest.approx(1)
    assert share(lit((6, 12), (7, 13))) == pytest.approx(0.02, abs=0.02), "an arm"
    assert [share(lit(corner)) for corner in ((0, 0), (0, 13), (13, 0), (13, 13))] == [0, 0, 0, 0]
    assert share(lit((7, 7), (0, 0), (0, 1), (1, 0))) == pytest.approx(0.25)


def test_wider_than_high():
    """Beside the middle there is more room than above it."""
    assert share(lit((50, 15), side=100)) == pytest.approx(1)
    assert share(lit((15, 50), side=100)) == 0


def test_an_empty_map_is_nowhere_outside():
    assert share(lit()) == 1
    assert not evidence.is_outside(lit()[None])[0]


def test_a_map_is_outside_by_its_strongest_place_or_by_most_of_it():
    corner = np.full((14, 14), 0, np.uint8)
    corner[5:9, 5:9], corner[0, 0] = 200, 201
    assert share(corner) > 0.9
    around = np.full((14, 14), 100, np.uint8)
    even = around.copy()
    around[4:10, 4:10], around[7, 7] = 60, 255
    assert share(around) < evidence.INSIDE < share(even)
    assert list(evidence.is_outside(np.stack([corner, around, even]))) == [True, True, False]


@pytest.mark.parametrize(
    ("heatmap", "probability", "doubts", "codes"),
    [
        (lit((0, 0)), 0.9, [], ["map_outside_chest"]),
        (lit((0, 0)), 0.3, [], ["map_outside_chest"]),
        (lit((0, 0)), 0.2, [], []),
        (lit((7, 7)), 0.9, [], []),
        (lit(), 0.9, [], []),
        (lit((0, 0)), 0.9, DOUBT, ["not_chest_xray"]),
    ],
)
def test_answers_that_are_not_negative_have_a_warning(heatmap, probability, doubts, codes):
    [found] = evidence.warnings_of([doubts], heatmap[None], np.array([probability], np.float32), BUNDLE)
    assert [warning["code"] for warning in found] == codes


def test_each_image_has_its_own():
    heatmaps, probabilities = np.stack([lit((0, 0)), lit((7, 7))]), np.array([0.9, 0.9], np.float32)
    found = evidence.warnings_of([[], []], heatmaps, probabilities, BUNDLE)
    assert [len(warnings) for warnings in found] == [1, 0]
