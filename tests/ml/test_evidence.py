"""Whether the evidence for an answer lies on the lungs."""

from pathlib import Path

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.inference import evidence

BUNDLE = Bundle.read(Path(__file__).resolve().parents[2] / "models" / "vgg16-pneumonia-1.2.0")
DOUBT = [{"code": "not_chest_xray", "detail": "A pagoda."}]
#: Two lungs of three columns each.
LUNGS = np.zeros((1, 14, 14), np.float32)
LUNGS[:, 3:11, 2:5] = LUNGS[:, 3:11, 9:12] = 1


def lit(*places: tuple[int, int], side: int = 14) -> np.ndarray:
    """A map with these places (row, column) at full strength."""
    heatmap = np.zeros((side, side), np.uint8)
    for place in places:
        heatmap[place] = 255
    return heatmap


def share(heatmap: np.ndarray, lungs: np.ndarray = LUNGS) -> float:
    return float(evidence.share_inside(heatmap[None], lungs)[0])


def test_evidence_on_or_next_to_the_lungs_is_inside() -> None:
    assert share(lit((7, 3))) == 1
    assert share(lit((2, 1))) == 1, "diagonally beside a lung"
    assert share(lit((1, 1))) == 0
    assert [share(lit(corner)) for corner in ((0, 0), (0, 13), (13, 0), (13, 13))] == [0, 0, 0, 0]
    assert share(lit((7, 3), (0, 0), (0, 1), (13, 7))) == pytest.approx(0.25)


def test_evidence_on_the_heart_is_not_inside_and_gives_no_warning() -> None:
    heart = lit(*((row, column) for row in (6, 7) for column in (6, 7)))
    assert share(heart) == 0
    assert not evidence.is_outside(heart[None], LUNGS)[0]
    assert evidence.is_outside(lit((7, 0))[None], LUNGS)[0], "this place is an arm"


def test_evidence_on_an_undetected_part_of_a_lung_gives_no_warning() -> None:
    opaque = LUNGS.copy()
    opaque[:, 5:9, 9:12] = 0
    assert not evidence.is_outside(lit((7, 10))[None], opaque)[0]


def test_maps_of_other_sizes_are_judged_by_the_same_places() -> None:
    assert share(lit((3, 1), side=7)) == 1
    assert share(lit((0, 0), side=7)) == 0
    assert share(lit((50, 25), side=100)) == 1
    assert share(lit((5, 50), side=100)) == 0


def test_there_is_no_share_for_an_empty_map_or_without_lungs() -> None:
    too_small = np.zeros((1, 14, 14), np.float32)
    too_small[0, 5, 4:9] = 1
    for heatmap, lungs in ((lit(), LUNGS), (lit((0, 0)), too_small)):
        assert np.isnan(share(heatmap, lungs))
        assert not evidence.is_outside(heatmap[None], lungs)[0]


def test_a_map_is_outside_if_its_strongest_place_or_most_of_it_is() -> None:
    corner = lit()
    corner[4:10, 3:5], corner[0, 0] = 180, 201
    below = np.zeros((14, 14), np.uint8)
    below[12:], below[7, 3] = 60, 255
    inside = below.copy()
    inside[5:9, 2:6] = 255
    assert share(corner) > 0.9
    found = evidence.is_outside(np.stack([corner, below, inside]), np.repeat(LUNGS, 3, axis=0))
    assert list(found) == [True, True, False]
    corner[4:10, 3:5] = 195
    assert not evidence.is_outside(corner[None], LUNGS)[0], "which of two almost equal places is stronger is chance"


@pytest.mark.parametrize(
    ("outside", "probability", "doubts", "codes"),
    [
        (True, 0.9, [], ["evidence_outside_lungs"]),
        (True, 0.3, [], ["evidence_outside_lungs"]),
        (True, 0.2, [], []),
        (False, 0.9, [], []),
        (True, 0.9, DOUBT, ["not_chest_xray"]),
    ],
)
def test_answers_that_are_not_negative_get_a_warning(outside, probability, doubts, codes):
    [found] = evidence.warnings_of([doubts], [outside], np.array([probability], np.float32), BUNDLE)
    assert [warning["code"] for warning in found] == codes


def test_each_image_has_its_own_warnings():
    found = evidence.warnings_of([[], []], [True, False], np.array([0.9, 0.9], np.float32), BUNDLE)
    assert [len(warnings) for warnings in found] == [1, 0]
