"""Augmentation changes only what may differ between uploads."""

import functools

import numpy as np
import pytest

from ml.pictures.augment import HARD, Strength, perturb
from ml.pictures.preprocess import Preprocessing, to_input
from tests import synthetic

SPEC = Preprocessing()
OFF = {**dict.fromkeys(Strength.__dataclass_fields__, 0.0), "share": 1.0}


@functools.cache
def difference(strength: Strength, seed: int = 0) -> float:
    image = synthetic.xray(1, (260, 260))
    plain = to_input(image, SPEC).astype(int)
    return float(np.abs(perturb(image, np.random.default_rng(seed), strength, SPEC) - plain).mean())


def test_the_same_random_state_gives_the_same_image() -> None:
    image = synthetic.xray(1)
    one, other = (perturb(image, np.random.default_rng(5), HARD, SPEC) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert (perturb(image, np.random.default_rng(6), HARD, SPEC) != one).any()


def test_the_result_is_a_model_input() -> None:
    for size in ((900, 700), (224, 224), (64, 80)):
        pixels = perturb(synthetic.xray(2, size), np.random.default_rng(1), Strength(), SPEC)
        assert pixels.shape == (224, 224)
        assert pixels.dtype == np.uint8


def test_almost_nothing_changes_if_no_change_is_enabled() -> None:
    assert max(difference(Strength(**OFF), seed) for seed in range(5)) < 1.5


@pytest.mark.parametrize(("name", "value"), [("rotation", 15), ("zoom", 0.3), ("shift", 0.2), ("gamma", 1.5),
                                             ("noise", 60), ("blur", 6), ("flip", 1.0), ("jpeg", 1.0)])  # fmt: skip
def test_each_kind_of_change_alters_the_image(name: str, value: float) -> None:
    changed = np.mean([difference(Strength(**{**OFF, name: value}), seed) for seed in range(12)])
    # A change close to nothing, so that only the choice of the resampling filter is left.
    unchanged = np.mean([difference(Strength(**{**OFF, "gamma": 1e-6}), seed) for seed in range(12)])
    assert changed > unchanged + 0.3


@pytest.mark.long
def test_each_kind_of_change_applies_to_its_share_of_the_images() -> None:
    always, seldom = ({**OFF, "rotation": 30.0, "share": share} for share in (1.0, 0.3))
    changed = [[difference(Strength(**strength), seed) > 5 for seed in range(60)] for strength in (always, seldom)]
    assert sum(changed[0]) > 50
    assert 5 < sum(changed[1]) < 30


@pytest.mark.parametrize("side", [150, 800])
def test_an_image_without_changes_is_prepared_as_in_serving(side: int) -> None:
    image = synthetic.xray(2, (side, side))
    pixels = perturb(image, np.random.default_rng(3), Strength(**OFF), SPEC)
    np.testing.assert_array_equal(pixels, to_input(image, SPEC))
