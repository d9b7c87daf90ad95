"""The check flags pictures far from the chest X-rays that it knows, and is stored in the bundle like the weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ml import cli
from ml.bundles.bundle import Bundle, sha256
from ml.errors import BundleError
from ml.evaluation import made_laterals, novelty_fit, novelty_pictures
from ml.evaluation.features import FeatureCache
from ml.evaluation.novelty_fit import Lessons
from ml.inference import engines, novelty
from ml.inference.novelty import Check
from ml.inference.predict import load_input
from ml.pictures import out_of_domain
from ml.pictures.preprocess import Preprocessing, to_input
from tests import synthetic
from tests.conftest import DATA, NO_DATA
from tests.service import bundle

RNG = np.random.default_rng(3)
#: Features of real images spread along 16 directions of 64.
DIRECTIONS = RNG.normal(size=(16, 64))


def known(count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = 40 + rng.normal(size=(count, 16)) @ DIRECTIONS + 0.05 * rng.normal(size=(count, 64))
    return values.astype(np.float32)


def drawn(count: int, seed: int) -> NDArray[np.float32]:
    """Features of drawings, nearly as close as those of real images, and all displaced to one side."""
    return (known(count, seed) + 1.1 * np.resize([1, -1], 16) @ DIRECTIONS).astype(np.float32)


def aside(count: int, seed: int) -> NDArray[np.float32]:
    """Features that are as near, and displaced to another side."""
    return (known(count, seed) + 1.1 * np.resize([1, 1, -1, -1], 16) @ DIRECTIONS).astype(np.float32)


def elsewhere(count: int, seed: int, direction: int = 3) -> NDArray[np.float32]:
    """Features of another hospital's chests: all displaced a little in one direction."""
    return (known(count, seed) + 8 * DIRECTIONS[direction]).astype(np.float32)


def lessons(**others: novelty_fit.Sides) -> Lessons:
    sides = {"drawn": (drawn(80, 21), drawn(80, 22)), **others}
    return Lessons(known(600, 1), known(400, 2), sides)


@pytest.fixture(scope="module")
def check() -> Check:
    return novelty_fit.fit(lessons())


def contrasty(count: int) -> NDArray[np.uint8]:
    """The input of an upright chest with contrast, repeated."""
    return np.tile(to_input(synthetic.xray(1, (200, 200)), Preprocessing(size=64)), (count, 1, 1))


def codes(warnings: list[novelty.Warnings]) -> list[list[str]]:
    return [[warning["code"] for warning in each] for each in warnings]


def test_distant_pictures_are_flagged_and_known_ones_are_not(check: Check) -> None:
    along = 40 + 30 * DIRECTIONS[:1]
    across = known(1, 5)
    across[0, ::2] += 3
    features = np.concatenate([known(50, 4), along, across]).astype(np.float32)
    warnings = check.warnings(features, contrasty(52))
    assert codes(warnings)[50:] == [["not_chest_xray"]] * 2, "far along a known direction, and off all directions"
    assert sum(map(bool, warnings[:50])) <= 2
    assert warnings[50][0]["detail"].endswith("Do not rely on the probability.")


def test_turned_chests_are_flagged_whatever_their_features(check: Check) -> None:
    features = known(40, 14)
    near = features[~check.flags(features).any(axis=1)][:3]
    turned = out_of_domain.turned(contrasty(1))
    chests = [turned[kind] for kind in ("inverted", "turned left", "turned right")]
    warnings = codes(check.warnings(near, np.concatenate(chests)))
    assert warnings == [["not_chest_xray", "chest_turned"]] * 3


def test_drawings_are_flagged_although_they_are_near(check: Check) -> None:
    features = np.concatenate([drawn(200, 23), known(200, 24)])
    assert (check.distances(features[:200]) > check.threshold).mean() < 0.5, "the distance alone misses them"
    as_drawing = check.flags(features)[:, 1]
    assert as_drawing[:200].mean() > 0.8
    assert as_drawing[200:].mean() < 0.03
    assert all(
        "unlike" in warnings[0]["detail"]
        for warnings in check.warnings(features[:200][as_drawing[:200]], contrasty(as_drawing[:200].sum()))
    )


@pytest.mark.long
def test_half_of_the_gap_to_other_pictures_is_left_to_chests_from_elsewhere() -> None:
    wrong = [(known(80, seed) + 9 * DIRECTIONS[0]).astype(np.float32) for seed in (1, 2)]
    roomy = novelty_fit.fit(lessons(drawn=(wrong[0], wrong[1])))
    elsewhere_features = (known(200, 3) + 2.5 * DIRECTIONS[0]).astype(np.float32)
    assert roomy.flags(elsewhere_features)[:, 1].mean() < 0.1
    assert roomy.flags(wrong[1])[:, 1].mean() > 0.95


def test_a_known_hospital_is_not_flagged_and_wrong_pictures_still_are(check: Check) -> None:
    theirs = elsewhere(200, 31)
    assert check.flags(theirs).any(axis=1).mean() > 0.3
    hospitals = {"a": elsewhere(150, 32), "b": elsewhere(150, 33)}
    wider = novelty_fit.fit(replace(lessons(), elsewhere=hospitals))
    assert wider.flags(theirs).any(axis=1).mean() < 0.05
    assert wider.flags(known(400, 34)).any(axis=1).mean() < 0.05
    assert wider.flags(drawn(200, 23)).any(axis=1).mean() > 0.8


def test_a_hospital_that_is_left_out_is_not_used() -> None:
    both = replace(lessons(), elsewhere={"a": elsewhere(150, 32), "b": elsewhere(150, 33, direction=5)})
    alone = novelty_fit.fit(both.without("b"))
    expected = novelty_fit.fit(replace(lessons(), elsewhere={"a": elsewhere(150, 32)}))
    np.testing.assert_allclose(alone.thresholds, expected.thresholds)
    features = elsewhere(50, 35, direction=5)
    assert (alone.distances(features) > 1.2 * novelty_fit.fit(both).distances(features)).mean() > 0.9


def test_chests_from_the_side_have_their_own_code(check: Check) -> None:
    sideways = novelty_fit.fit(lessons(lateral=(aside(80, 41), aside(80, 42))))
    features = aside(200, 43)
    found = codes(sideways.warnings(features, contrasty(200)))
    assert found.count(["not_chest_xray", "chest_from_the_side"]) > 120
    assert not check.flags(features)[:, 2].any(), "a check that learnt no lateral chests does not flag them as such"
    assert sideways.flags(known(400, 44)).any(axis=1).mean() < sum(1 - share for share in novelty_fit.ACCEPTED) + 0.02


def test_the_accepted_share_of_held_out_images_is_below_the_threshold(check: Check) -> None:
    distances = check.distances(known(400, 2))
    assert (distances > check.threshold / novelty_fit.ROOM).mean() == pytest.approx(
        1 - novelty_fit.ACCEPTED[0], abs=0.0026
    )
    assert check.flags(known(400, 2))[:, 1].mean() <= 1 - novelty_fit.ACCEPTED[1] + 0.0026
    assert (check.distances(known(2000, 9)) > check.threshold).mean() < 0.03


def test_the_strength_of_features_does_not_matter(check: Check) -> None:
    features = known(20, 6)
    np.testing.assert_allclose(check.distances(features), check.distances(7 * features), rtol=1e-2)


def test_a_blank_image_is_flagged_whatever_its_features(check: Check) -> None:
    inputs = contrasty(2)
    inputs[1] = 200
    inputs[1, 0, :4] = 203
    warnings = check.warnings(known(1, 4).repeat(2, axis=0), inputs)
    assert codes(warnings) == [[], ["not_chest_xray"]]
    assert "blank" in warnings[1][0]["detail"]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        novelty_fit.fit(replace(lessons(), training=known(7, 1)))


def test_features_are_cached_and_read_once(tmp_path: Path) -> None:
    class Engine:
        images_read = 0

        def read(self, batch: NDArray[np.uint8]) -> engines.Readings:
            self.images_read += len(batch)
            values = batch.reshape(len(batch), -1)[:, :8].astype(np.float32)
            return engines.Readings(values[:, :2], values, values[:, :4].reshape(-1, 2, 2))

    engine, file = Engine(), tmp_path / "features.npz"
    images = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    first = FeatureCache(engine, file).get(images[:3])
    again = FeatureCache(engine, file).get(images[[3, 1, 1]])
    np.testing.assert_array_equal(again[1:], first[[1, 1]])
    np.testing.assert_array_equal(again[0], images[3].ravel()[:8])
    assert engine.images_read == 4


@pytest.mark.long
def test_chests_from_the_side_are_made_from_a_ct() -> None:
    """The body is wider than deep, with its spine at the back."""
    volume = np.zeros((40, 64, 64), np.float32)
    volume[:, 16:48, 4:60] = 1000
    volume[:, 42:47, 29:35] = 2000
    pictures = list(made_laterals.made(volume, 2.0))
    kinds = [kind for kind, _ in pictures]
    assert (kinds.count("lateral"), kinds.count("frontal")) == (made_laterals.LATERALS, made_laterals.FRONTALS)
    assert len({picture.tobytes() for _, picture in pictures}) == len(pictures)

    def spine(picture: Image.Image) -> float:
        """Distance of the brightest column from the middle, as a share of the width."""
        columns = np.asarray(picture, float)[60:240, 40:260].mean(axis=0)
        return abs(float(columns.argmax()) / len(columns) - 0.5)

    frontal, lateral = ([spine(image) for name, image in pictures if name == kind] for kind in ("frontal", "lateral"))
    assert np.median(frontal) < 0.15 < np.median(lateral)


# --- in the bundle --------------------------------------------------------------------------------------------------


@pytest.fixture
def with_check(random_bundle: Bundle, check: Check, tmp_path: Path) -> Bundle:
    copy = Bundle.read(shutil.copytree(random_bundle.path, tmp_path / "copy"))
    return novelty.save(copy, check, {"kinds": {"photograph": {"flagged": 1.0}}})


def test_a_check_is_loaded_as_it_was_saved(with_check: Bundle, check: Check) -> None:
    loaded = novelty.load(with_check)
    assert loaded
    features = known(30, 8)
    np.testing.assert_array_equal(loaded.distances(features), check.distances(features))
    assert loaded.threshold == check.threshold
    meta = with_check.meta["novelty"]
    assert meta["threshold"] == check.threshold
    assert meta["kinds"]["photograph"]["flagged"] == 1.0
    assert with_check.load_model(), "the weights are untouched"


def test_a_bundle_without_a_check_warns_of_nothing(random_bundle: Bundle) -> None:
    assert novelty.load(random_bundle) is None
    assert novelty.warnings_of(None, known(2, 1), contrasty(2)) == [[], []]


def test_the_check_is_copied_to_a_bundle_with_the_same_weights(
    with_check: Bundle, random_bundle: Bundle, tmp_path: Path
) -> None:
    other = Bundle.read(shutil.copytree(random_bundle.path, tmp_path / "other"))
    found = novelty.load(novelty.copy_check(with_check, other))
    assert found
    assert found.threshold == with_check.meta["novelty"]["threshold"]
    assert Bundle.read(other.path).meta["novelty"]["kinds"] == with_check.meta["novelty"]["kinds"]
    assert novelty.load(novelty.copy_check(random_bundle, Bundle.read(other.path))), (
        "a bundle without a check removes none"
    )


def with_arrays(bundle: Bundle, **arrays: Any) -> Bundle:
    """Store these arrays as the bundle's check, with their hash."""
    file = bundle.path / novelty.FILE
    with file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    meta = json.loads((bundle.path / "bundle.json").read_text())
    meta["novelty"]["sha256"] = sha256(file)
    (bundle.path / "bundle.json").write_text(json.dumps(meta))
    return Bundle.read(bundle.path)


def test_a_check_from_before_1_2_is_read_and_knows_no_drawings(with_check: Bundle, check: Check) -> None:
    old_arrays = {
        name: value for name, value in vars(check).items() if name not in ("drawn", "familiar", "lateral", "frontal")
    } | {"turned": check.drawn, "upright": 0.0}
    older = novelty.load(with_arrays(with_check, **old_arrays))
    assert older
    features = drawn(50, 23)
    far = check.distances(features) > check.threshold
    np.testing.assert_array_equal(older.flags(features)[:, :2], np.column_stack([far, np.zeros(50, bool)]))


def test_a_changed_check_is_refused(with_check: Bundle) -> None:
    file = with_check.path / novelty.FILE
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match="is not the file that was released"):
        novelty.load(with_check)


def test_a_missing_check_is_refused(with_check: Bundle) -> None:
    (with_check.path / novelty.FILE).unlink()
    with pytest.raises(BundleError, match="has no novelty"):
        novelty.load(with_check)


def test_a_check_of_another_kind_is_refused(with_check: Bundle, check: Check) -> None:
    for arrays in ({"something": np.zeros(3)}, {"axes": check.axes, "drawn": check.drawn}):
        other = with_arrays(with_check, **arrays)
        with pytest.raises(BundleError, match="no check that this version reads"):
            novelty.load(other)


@pytest.mark.training
def test_the_command_fits_measures_and_stores_the_check(
    random_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(novelty_pictures, "DRAWN", 3)
    monkeypatch.setattr(novelty_pictures, "TURNED", 3)
    path = Path(shutil.copytree(random_bundle.path, tmp_path / "bundle"))
    for number in range(80):
        name = f"NORMAL/IM-{number:04d}-0001.jpeg" if number % 2 else f"PNEUMONIA/person{number}_virus_{number}.jpeg"
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(synthetic.xray_jpeg(number, (90, 80)))
    (tmp_path / "others" / "letter").mkdir(parents=True)
    Image.new("L", (80, 80), 255).save(tmp_path / "others" / "letter" / "page.png")
    arguments = [
        "novelty",
        "--model",
        str(path),
        "--data",
        str(tmp_path / "data"),
        "--others",
        str(tmp_path / "others"),
    ]
    assert cli.main(arguments) == 0
    assert "novelty" not in Bundle.read(path).meta, "without --write, it only measures"
    assert cli.main([*arguments, "--write"]) == 0
    kinds = Bundle.read(path).meta["novelty"]["kinds"]
    assert {"held out", "held out, perturbed", "inverted", "upside down", "photograph", "text", "letter"} <= set(kinds)
    assert (kinds["letter"]["n"], kinds["letter"]["flagged"]) == (1, 1.0)
    assert kinds["blank"]["flagged"] == kinds["blank"]["unlearnt"] == 1.0
    assert "unlearnt" not in kinds["photograph"], "the check was not fitted to photographs"
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in kinds)
    assert (path / novelty.FILE).stat().st_size < 3_000_000
    page, json_file, maps = tmp_path / "others" / "letter" / "page.png", tmp_path / "report.json", tmp_path / "maps"
    status = cli.main(["predict", "--model", str(path), "--json", str(json_file), "--heatmaps", str(maps), str(page)])
    assert status == 0
    [row] = json.loads(json_file.read_text())
    assert [warning["code"] for warning in row["warnings"]] == ["not_chest_xray"]
    assert row["label"] is None
    assert 0 <= row["probability"] <= 1
    assert "not_chest_xray" in capsys.readouterr().out
    with Image.open(row["heatmap"]) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (80, 80))


# --- pictures it is measured on -------------------------------------------------------------------------------------


def test_chests_are_turned_and_inverted() -> None:
    inputs = np.zeros((1, 4, 4), np.uint8)
    inputs[0, 0, 1] = 200
    turned = out_of_domain.turned(inputs)
    assert turned["inverted"][0, 0, 1] == 55
    assert turned["upside down"][0, 3, 2] == 200
    assert turned["turned left"][0, 2, 0] == 200
    assert turned["turned right"][0, 1, 3] == 200


@pytest.mark.long
def test_drawings_and_photographs_are_repeatable_inputs() -> None:
    spec = Preprocessing(size=64)
    first, second = (
        {**out_of_domain.drawn(spec, 4, 1), "photograph": out_of_domain.photographs(spec, 4, 1)} for _ in range(2)
    )
    assert {"blank", "noise", "text", "hand", "limb"} <= set(first)
    for kind, inputs in first.items():
        assert (inputs.shape, inputs.dtype) == ((4, 64, 64), np.uint8), kind
        np.testing.assert_array_equal(inputs, second[kind])
        assert kind == "blank" or all(image.std() > 10 for image in inputs), kind
        assert kind == "blank" or len(np.unique(inputs.reshape(4, -1), axis=0)) == 4, kind


# --- the released check ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released() -> tuple[Check, engines.Engine, Preprocessing]:
    used = Bundle.read(bundle())
    found = novelty.load(used)
    if found is None:
        pytest.skip(f"{used.id} was released without a novelty check")
    return found, engines.load(used.path), used.preprocessing


def flagged(released: tuple[Check, engines.Engine, Preprocessing], inputs: NDArray[np.uint8]) -> float:
    check, engine, _ = released
    return float(np.mean([bool(warnings) for warnings in check.warnings(novelty.features_of(engine, inputs), inputs)]))


@pytest.mark.training
def test_the_released_check_flags_other_pictures(released: tuple[Check, engines.Engine, Preprocessing]) -> None:
    spec = released[2]
    kinds = {**out_of_domain.drawn(spec, 8, 99), "photograph": out_of_domain.photographs(spec, 8, 99)}
    for kind, inputs in kinds.items():
        assert flagged(released, inputs) >= 0.75, kind


@pytest.mark.training
@pytest.mark.real_data
def test_the_released_check_flags_real_chests_only_if_they_are_turned(
    released: tuple[Check, engines.Engine, Preprocessing],
) -> None:
    files = sorted(DATA.glob("originals/*/*.jpeg"))[::3]
    if not files:
        pytest.skip(NO_DATA)
    chests = np.stack([load_input(file, released[2]) for file in files])
    assert flagged(released, chests) <= 0.05
    for kind, inputs in out_of_domain.turned(chests).items():
        assert flagged(released, inputs) >= 0.97, kind
