"""Which patient an image belongs to, and which patients are held out."""

from pathlib import Path

import pytest

from ml.dataset import data
from ml.dataset.data import Sample


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person12_bacteria_3.jpeg", "person12_bacteria"),
        ("person12_virus_45.jpeg", "person12_virus"),
        ("person120_bacteria_3.jpeg", "person120_bacteria"),
        ("person7_4.jpeg", "person7"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0439-0001-0002.jpeg", "NORMAL2-IM-0439"),
        ("my own scan.png", "my own scan"),
    ],
)
def test_patients_are_read_from_names(name: str, patient: str) -> None:
    assert data.patient_of(name) == patient


def test_scan_finds_every_image_with_its_class(xrays: Path) -> None:
    (xrays / "NORMAL" / "notes.txt").write_text("not an image")
    samples = data.scan(xrays)
    assert len(samples) == 12
    assert [sample.label for sample in samples] == [0] * 6 + [1] * 6
    assert len({sample.patient for sample in samples}) == 12


def test_a_missing_class_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "NORMAL").mkdir()
    with pytest.raises(FileNotFoundError, match="NORMAL and PNEUMONIA"):
        data.scan(tmp_path)


def many() -> list[Sample]:
    return [Sample(Path(f"person{i // 3}_virus_{i}.jpeg"), 1, f"person{i // 3}") for i in range(3000)]


def test_no_patient_is_in_both_training_and_held_out() -> None:
    training, held_out = data.split(many(), 0.2, seed=1)
    assert not {sample.patient for sample in training} & {sample.patient for sample in held_out}
    assert len(training) + len(held_out) == 3000
    assert 0.15 < len(held_out) / 3000 < 0.25


def test_a_patients_side_depends_on_the_seed_only() -> None:
    _, held_out = data.split(many(), 0.2, seed=1)
    _, half_held_out = data.split(many()[:1500], 0.2, seed=1)
    assert {sample.patient for sample in half_held_out} <= {sample.patient for sample in held_out}
    assert data.split(many(), 0.2, seed=2)[1] != held_out


def test_bundles_before_1_3_keep_their_split_by_the_number_alone() -> None:
    samples = [Sample(Path(f"person{i}_{cause}_1.jpeg"), 1, f"person{i}_{cause}") for i in range(200)
               for cause in ("bacteria", "virus")]  # fmt: skip
    held_out = [sample.patient for sample in data.split_as({"held_out": 0.3, "seed": 7}, samples)[1]]
    assert {name.rsplit("_", 1)[0] + "_virus" for name in held_out} <= set(held_out)
    apart = [sample.patient for sample in data.split_as({"held_out": 0.3, "patient_key": "cause"}, samples)[1]]
    assert not {name.rsplit("_", 1)[0] + "_virus" for name in apart} <= set(apart)


def normals() -> list[Sample]:
    return [
        Sample(Path(f"{series}-{number:04d}-0001.jpeg"), 0, f"{series}-{number:04d}")
        for series in ("IM", "NORMAL2-IM")
        for number in range(100)
    ]


@pytest.mark.parametrize(("seed", "first"), [(0, 0), (1, 44), (2, 88)])
def test_a_block_has_neighbouring_numbers_in_each_series(seed: int, first: int) -> None:
    numbers = {f"{series}-{n:04d}" for series in ("IM", "NORMAL2-IM") for n in range(first, first + 12)}
    assert data.block(normals(), 0.12, seed) == numbers


def test_blocks_are_held_out_in_addition_to_random_patients() -> None:
    samples = normals() + many()
    training, held_out = data.hold_out(samples, "blocks", 0.12, 1)
    chosen = {sample.patient for sample in held_out}
    assert not chosen & {sample.patient for sample in training}
    assert len(training) + len(held_out) == len(samples)
    assert chosen == data.block(normals(), 0.12, 1) | {s.patient for s in data.split(samples, 0.12, 1)[1]}


def test_the_fingerprint_changes_with_the_files(xrays: Path, tmp_path: Path) -> None:
    samples = data.scan(xrays)
    assert data.fingerprint(samples) == data.fingerprint(samples)
    assert data.fingerprint(samples) != data.fingerprint(samples[1:])
