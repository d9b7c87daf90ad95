"""Other hospitals' chests: which labels are used, and which patients are held out."""

import csv
from pathlib import Path

import pytest

from ml.dataset import external
from tests import synthetic

COLUMNS = ("file", "source", "label", "label_quality", "patient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        ("nih/a.jpeg", "nih", "normal", "expert", "1"),
        ("nih/b.jpeg", "nih", "pneumonia", "expert", "2"),
        ("nih/c.jpeg", "nih", "pneumonia", "text-mined", "3"),
        ("nih/d.jpeg", "nih", "other", "expert", "1"),
        ("covid/e.jpeg", "covid", "covid19", "case-level", "1"),
        ("covid/f.jpeg", "covid", "covid19", "case-level", ""),
    ]
    (tmp_path / "nih").mkdir()
    (tmp_path / "covid").mkdir()
    for number, (file, *_) in enumerate(rows):
        (tmp_path / file).write_bytes(synthetic.xray_jpeg(number, (80, 70)))
    with (tmp_path / "index.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return tmp_path


def test_only_reliable_labels_are_used(folder: Path) -> None:
    chests = external.read(folder)
    assert [chest.sample.label for chest in chests] == [0, 1, external.UNKNOWN, external.UNKNOWN, 1, 1]
    assert chests[2].stated == "pneumonia"


def test_patients_are_identified_within_their_source(folder: Path) -> None:
    patients = [chest.sample.patient for chest in external.read(folder)]
    assert patients == ["nih:1", "nih:2", "nih:3", "nih:1", "covid:1", "covid:f"]


def test_each_patient_is_held_out_in_one_fold(folder: Path) -> None:
    chests = external.read(folder)
    held = [{chest.sample.patient for chest in external.split(chests, fold, 7)[1]} for fold in range(external.FOLDS)]
    assert set.union(*held) == {chest.sample.patient for chest in chests}
    assert sum(map(len, held)) == len(set.union(*held))
    assert external.split(chests, None, 7) == (chests, [])


def test_an_index_that_names_a_missing_file_is_an_error(folder: Path) -> None:
    (folder / "nih/a.jpeg").unlink()
    with pytest.raises(FileNotFoundError, match=r"nih/a\.jpeg"):
        external.read(folder)


def test_an_index_without_a_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,source,label\n")
    with pytest.raises(ValueError, match="label_quality, patient"):
        external.read(tmp_path)
