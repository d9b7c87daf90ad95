"""The hard validation shows held-out images in every condition, and each condition changes them as described."""

from pathlib import Path

import numpy as np
import pytest

from ml.dataset import data
from ml.evaluation import robustness
from ml.pictures.preprocess import Preprocessing
from tests import synthetic

RAW = Preprocessing(size=96, blur=0, percentiles=(0, 100))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[data.Sample]:
    """Of each class, two files no larger than the input and two larger ones."""
    folder = tmp_path_factory.mktemp("hard")
    created = []
    for number, size in enumerate([(96, 80), (96, 96), (200, 180), (220, 200)]):
        for label in (0, 1):
            path = folder / f"{label}-{number}.jpeg"
            path.write_bytes(synthetic.xray_jpeg(10 * number + label, size))
            created.append(data.Sample(path, label, f"p{label}-{number}"))
    return created


def test_every_file_is_shown_in_every_condition(samples: list[data.Sample]) -> None:
    shown = robustness.validation(samples, RAW, ["plain", robustness.EVERYTHING], seed=1)
    assert shown.inputs.shape == (16, 96, 96)
    assert shown.inputs.dtype == np.uint8
    assert {name: int(mask.sum()) for name, mask in shown.groups()} == {
        "plain, small": 4, "plain, large": 4, "everything at once, small": 4, "everything at once, large": 4,
    }  # fmt: skip
    by_name = {sample.path.name: sample for sample in samples}
    for name, label, patient in zip(shown.names, shown.truth, shown.patients, strict=True):
        assert (by_name[name].label, by_name[name].patient) == (label, patient)


def test_a_limit_counts_files_of_a_class_and_size(samples: list[data.Sample]) -> None:
    shown = robustness.validation(samples, RAW, ["plain"], seed=1, limit=1)
    assert len(shown.truth) == 4
    assert len(set(zip(shown.truth.tolist(), shown.renditions.tolist(), strict=True))) == 4


def test_the_same_seed_gives_the_same_images(samples: list[data.Sample]) -> None:
    one, same, other = (robustness.validation(samples, RAW, [robustness.EVERYTHING], seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert sorted(other.names) == sorted(one.names)
    order, other_order = np.argsort(one.names), np.argsort(other.names)
    assert (other.inputs[other_order] != one.inputs[order]).any()


@pytest.mark.parametrize("change", [name for name in robustness.CHANGES if name != "plain"])
def test_each_change_changes_every_image(samples: list[data.Sample], change: str) -> None:
    shown = robustness.validation(samples, RAW, ["plain", change], seed=1)
    for name in set(shown.names):
        rows = shown.names == name
        plain, changed = (shown.inputs[rows & (shown.conditions == kind)][0].astype(int) for kind in ("plain", change))
        assert (plain != changed).any(), name


@pytest.mark.parametrize(("change", "sign"), [("gamma 0.7", 1), ("gamma 1.4", -1), ("brighter", 1), ("darker", -1)])
def test_exposure_changes_brightness_in_the_named_direction(samples: list[data.Sample], change: str, sign: int) -> None:
    shown = robustness.validation(samples, RAW, ["plain", change], seed=1)
    mean = {kind: shown.inputs[shown.conditions == kind].mean() for kind in ("plain", change)}
    assert sign * (mean[change] - mean["plain"]) > 5


def test_series_and_causes_are_read_from_names() -> None:
    assert data.series_of("IM-0115") == "IM"
    assert data.series_of("NORMAL2-IM-0439") == "NORMAL2-IM"
    assert data.series_of("person12") == ""
    assert data.cause_of("person12_bacteria_3.jpeg") == "bacteria"
    assert data.cause_of("person12_virus_45.jpeg") == "virus"
    assert data.cause_of("IM-0115-0001.jpeg") == ""


@pytest.fixture
def cohort() -> list[data.Sample]:
    names = [f"IM-{number:04d}" for number in range(100, 200)]
    names += [f"NORMAL2-IM-{number:04d}" for number in range(300, 400)]
    normals = [data.Sample(Path(f"{name}-0001.jpeg"), 0, name) for name in names]
    return normals + [data.Sample(Path(f"person{n}_virus_{n}.jpeg"), 1, f"person{n}") for n in range(300)]


@pytest.mark.parametrize("fold", data.FOLDS)
def test_no_fold_has_a_patient_on_both_sides(cohort: list[data.Sample], fold: str) -> None:
    training, held = data.hold_out(cohort, fold, 0.15, seed=7)
    assert not {s.patient for s in training} & {s.patient for s in held}
    for side in (training, held):
        assert {s.label for s in side} == {0, 1}


@pytest.mark.parametrize("series", ["IM", "NORMAL2-IM"])
def test_a_series_is_held_out_whole(cohort: list[data.Sample], series: str) -> None:
    training, held = data.hold_out(cohort, series, 0.15, seed=7)
    assert {data.series_of(s.patient) for s in held if s.label == 0} == {series}
    assert series not in {data.series_of(s.patient) for s in training}
    assert sum(s.label == 0 for s in held) == 100


def test_early_holds_out_the_first_numbers(cohort: list[data.Sample]) -> None:
    _, held = data.hold_out(cohort, "early", 0.15, seed=7)
    normals = {s.patient for s in held if s.label == 0}
    assert normals == {f"IM-{n:04d}" for n in range(100, 115)} | {f"NORMAL2-IM-{n:04d}" for n in range(300, 315)}


def test_an_unknown_fold_is_refused_with_the_known_ones(cohort: list[data.Sample]) -> None:
    with pytest.raises(ValueError, match="NORMAL2-IM"):
        data.hold_out(cohort, "weekdays", 0.15, seed=7)
