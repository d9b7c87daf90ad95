"""Bundles are read completely or refused with a reason."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml.bundles.bundle import WEIGHTS, Bundle
from ml.errors import BundleError
from tests.service import ROOT


@pytest.fixture
def copy(random_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(random_bundle.path, tmp_path / "copy"))


def test_weights_are_read_back_as_written(random_bundle: Bundle) -> None:
    first, second = random_bundle.load_model(), Bundle.read(random_bundle.path).load_model()
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert sum(np.abs(weights).sum() for weights in first.get_weights()) > 0


def test_the_positive_label_starts_at_the_threshold(random_bundle: Bundle) -> None:
    assert random_bundle.label(random_bundle.threshold) == "PNEUMONIA"
    assert random_bundle.label(random_bundle.threshold - 1e-6) == "NORMAL"


def test_changed_weights_are_refused(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / WEIGHTS).write_bytes(content)
    with pytest.raises(BundleError, match="is not the file that was released"):
        Bundle.read(copy).load_model()


def test_missing_weights_are_refused(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(BundleError, match="has no weights"):
        Bundle.read(copy).load_model()


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    from ml.bundles.bundle import sha256

    with (copy / WEIGHTS).open("wb") as file:
        np.savez(file, something=np.zeros(3))
    meta = json.loads((copy / "bundle.json").read_text())
    meta["weights"]["sha256"] = sha256(copy / WEIGHTS)
    (copy / "bundle.json").write_text(json.dumps(meta))
    with pytest.raises(BundleError, match="does not hold the weights of a vgg16"):
        Bundle.read(copy).load_model()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "cannot be read"), ('{"format": 99}', "format 99"), ('{"format": 1, "name": "x"}', "lacks or garbles")],
)
def test_a_bad_description_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=reason):
        Bundle.read(tmp_path)


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model bundle"):
        Bundle.read(tmp_path)


def test_released_bundles_can_be_loaded_and_are_small() -> None:
    released = [file.parent for file in (ROOT / "models").glob("*/bundle.json")]
    assert released
    for path in released:
        bundle = Bundle.read(path)
        assert path.name == bundle.id
        assert bundle.load_model().count_params() == bundle.meta["parameters"]
        assert 0 < bundle.threshold < 1
        assert (path / "MODEL_CARD.md").exists()
        assert sum(file.stat().st_size for file in path.iterdir() if file.is_file()) < 35_000_000
