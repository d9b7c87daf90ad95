"""Which bundle the workers use."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ml.errors import BundleError
from tests.worker.conftest import SPEC, write_bundle
from worker import bundle
from worker.ingest import preparing


def test_the_newest_release_is_used(models: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.2.11"):
        write_bundle(models, version)
    assert bundle.current().id == "chest-1.10.0"


def test_a_new_family_does_not_replace_the_chosen_one(models: Path) -> None:
    write_bundle(models, "1.0.0")
    write_bundle(models, "2.0.0", name="densenet")
    (models / "README.md").write_text("not a bundle")
    (models / "unfinished").mkdir()
    assert bundle.current().id == "chest-1.0.0"


def test_the_released_family_is_the_default() -> None:
    if os.environ.get("MODEL_BUNDLE"):
        pytest.skip("MODEL_BUNDLE chooses another one")
    assert bundle.current().id == "vgg16-pneumonia-1.4.0"


def test_shadow_bundles_are_named_in_the_same_ways(models: Path, settings: Any) -> None:
    for version in ("1.0.0", "1.1.0"):
        write_bundle(models, version)
        write_bundle(models, version, name="densenet")
    settings.SHADOW_BUNDLES = ["densenet", "chest-1.0.0"]
    assert [shadow.id for shadow in bundle.shadows()] == ["densenet-1.1.0", "chest-1.0.0"]


def test_a_bundle_can_be_named(models: Path, settings: Any) -> None:
    write_bundle(models, "1.0.0")
    write_bundle(models, "2.0.0")
    settings.MODEL_BUNDLE = "chest-1.0.0"
    assert bundle.current().version == "1.0.0"


def test_a_bundle_can_be_given_by_its_path(
    models: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(models, "1.0.0")
    path = write_bundle(tmp_path / "elsewhere", "0.5.0")
    settings.MODEL_BUNDLE = str(path)
    assert bundle.current().version == "0.5.0"
    monkeypatch.chdir(tmp_path)
    settings.MODEL_BUNDLE = str(path.relative_to(tmp_path))
    assert bundle.current().version == "0.5.0"


def test_a_department_chooses_its_operating_point(models: Path, settings: Any) -> None:
    points = {name: {"threshold": value, "rule": "planted"} for name, value in (("balanced", 0.6), ("screening", 0.2))}
    path = write_bundle(models, "1.0.0")
    meta = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps({**meta, "threshold": 0.6, "operating_points": points}))
    assert bundle.current().label(0.4) == "NORMAL"
    settings.OPERATING_POINT = "screening"
    assert bundle.current().label(0.4) == "PNEUMONIA"
    settings.OPERATING_POINT = "balnced"
    with pytest.raises(BundleError, match="it has balanced, screening"):
        bundle.current()


def test_no_bundle_is_a_clear_error(models: Path) -> None:
    with pytest.raises(BundleError, match=f"no model bundle 'chest' in {models}; there: none"):
        bundle.current()


def test_an_unknown_name_is_a_clear_error(models: Path, settings: Any) -> None:
    write_bundle(models, "1.0.0")
    settings.MODEL_BUNDLE = "chest-3.0.0"
    with pytest.raises(BundleError, match=r"no model bundle 'chest-3\.0\.0' in .*; there: chest-1\.0\.0"):
        bundle.current()


def test_ingest_prepares_as_the_bundle_says(installed: Path) -> None:
    assert preparing.models() == {"chest-1.2.0": SPEC}


def test_a_bundle_that_is_added_later_is_found(models: Path) -> None:
    """An ingest worker that was started too early need not be restarted."""
    with pytest.raises(BundleError):
        preparing.models()
    write_bundle(models, "1.0.0", preprocessing={**SPEC.to_json(), "blur": 3.0})
    assert preparing.models()["chest-1.0.0"].blur == 3.0


def test_an_invalid_version_is_a_clear_error(models: Path) -> None:
    write_bundle(models, "newest")
    with pytest.raises(BundleError, match="newest"):
        bundle.current()
