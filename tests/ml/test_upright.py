"""Detecting whether a chest is upright, learnt from chests that were turned and inverted."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.inference import upright
from ml.inference.predict import load_input
from ml.pictures.preprocess import Preprocessing, to_input
from ml.training import upright as training
from tests import synthetic
from tests.conftest import DATA, NO_DATA


def drawn(*seeds: int, size: int = 224) -> NDArray[np.uint8]:
    """Drawn chests' inputs."""
    return np.stack([to_input(synthetic.xray(seed, (448, 448)), Preprocessing(size=size)) for seed in seeds])


def ways(inputs: NDArray[np.uint8]) -> dict[tuple[int, bool], NDArray[np.uint8]]:
    """The inputs turned and inverted in every way that is not upright."""
    return {
        (quarters, inverted): np.rot90(255 - inputs if inverted else inputs, quarters, axes=(1, 2))
        for quarters, inverted in upright.WAYS[1:]
    }


def test_a_drawn_chest_is_upright_and_looks_less_so_in_every_other_way() -> None:
    """Drawn chests upside down are less clear than real ones: their lungs are nearly as wide above as below."""
    chests, learnt = drawn(*range(6)), upright.layers()
    assert not upright.turned(chests).any()
    highest = upright.odds(chests, learnt).max()
    for (quarters, inverted), inputs in ways(chests).items():
        assert upright.odds(inputs, learnt).min() > highest + 2, (quarters, inverted)
        assert upright.turned(inputs).all() or (quarters, inverted) == (2, False)


def test_a_mirrored_chest_is_upright() -> None:
    assert not upright.turned(drawn(1, 2)[:, :, ::-1]).any()


def test_inputs_of_any_size_are_accepted() -> None:
    small = drawn(1, size=64)
    assert upright.turned(np.concatenate([small, np.rot90(small, axes=(1, 2))])).tolist() == [False, True]


def test_a_copy_keeps_its_top_at_the_top() -> None:
    """A picture that is bright above and dark below stays so, however a copy is framed, exposed and partly covered."""
    picture = np.repeat(np.linspace(255, 0, 224).astype(np.uint8)[:, None], 224, axis=1)
    rng = np.random.default_rng(1)
    for _ in range(20):
        copy = training._copy(picture, rng).astype(float)
        assert copy.shape == (224, 224)
        assert np.median(copy[60:100, 60:160]) > np.median(copy[124:164, 60:160])


@pytest.mark.training
def test_layers_learnt_from_a_few_drawn_chests_work_for_others_and_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = training.fit(drawn(*range(12)))
    shares = training.measured(layers, drawn(*range(20, 26)))
    assert shares["flagged"] <= 0.2
    assert shares["caught"] >= 0.8, "all but those upside down, which hardly shows in drawn chests"
    training.save(layers, tmp_path / "upright.npz")
    monkeypatch.setattr(upright, "FILE", tmp_path / "upright.npz")
    upright.layers.cache_clear()
    try:
        stored = upright.layers()
    finally:
        upright.layers.cache_clear()
    for (kernel, bias), (exact, added) in zip(stored, layers, strict=True):
        np.testing.assert_allclose(kernel, exact, atol=2e-3)
        np.testing.assert_allclose(bias, added, atol=2e-3)


@pytest.mark.real_data
def test_real_chests_are_upright_until_they_are_turned_or_inverted() -> None:
    files = sorted(DATA.glob("originals/*/*.jpeg"))[::2]
    if not files:
        pytest.skip(NO_DATA)
    chests = np.stack([load_input(file, Preprocessing()) for file in files])
    assert not upright.turned(chests).any()
    for way, inputs in ways(chests).items():
        assert upright.turned(inputs).mean() >= 0.97, way
