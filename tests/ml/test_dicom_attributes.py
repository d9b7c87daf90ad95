"""The attributes that are kept of a DICOM file."""

import re
import zlib
from datetime import date, time
from itertools import chain

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ml.errors import ImageError
from ml.pictures import dicom
from ml.pictures.dicom import elements
from ml.pictures.dicom.attributes import view_position
from ml.pictures.dicom.checks import not_frontal_warnings
from tests.dicom_files import made


def read(**attributes: object) -> dict[str, object]:
    return dicom.attributes_of(dicom.parse(made(**attributes), pixels=False))


def test_tags_are_looked_up_for_the_first_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(PatientID="4711")["patient_identifier"] == "4711"
    monkeypatch.delattr(elements, "tag_for_keyword")
    assert read(PatientID="4712")["patient_identifier"] == "4712"


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"PatientAge": "004Y"}, 4),
        ({"PatientAge": "62"}, 62),
        ({"PatientAge": "030M"}, 2.5),
        ({"PatientAge": "010W"}, 0.19),
        ({"PatientBirthDate": "20200301", "StudyDate": "20240302"}, 4),
        ({"PatientBirthDate": "2020.03.01", "AcquisitionDate": "20240302"}, 4),
        ({"PatientBirthDate": "20250301", "StudyDate": "20240302"}, None),
        ({"PatientBirthDate": "18000101", "StudyDate": "20240302"}, None),
        ({"PatientBirthDate": "unknown", "StudyDate": "20240302"}, None),
        ({"PatientAge": "999Y"}, None),
        ({}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_the_age_is_read(attributes: dict[str, str], age: float | None) -> None:
    assert read(**attributes)["age"] == (age if age is None else pytest.approx(age, abs=0.01))


@pytest.mark.parametrize(
    ("charset", "name", "shown"),
    [
        (None, "Doe^Jane^Q^Dr", "Doe, Jane Q"),
        ("ISO_IR 100", "Müller^Jürgen", "Müller, Jürgen"),
        ("ISO_IR 144", "Люкceмбypг^Роза", "Люкceмбypг, Роза"),
        ("ISO_IR 192", "王^小东", "王, 小东"),
        ("GB18030", "王^小东", "王, 小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
        ("ISO_IR 192", "=山田^太郎", "山田, 太郎"),
        (None, "ANONYMOUS", "ANONYMOUS"),
    ],
)
def test_names_are_read_in_their_character_set(charset: object, name: str, shown: str) -> None:
    encoding = {"SpecificCharacterSet": charset} if charset else {}
    assert read(**encoding, PatientName=name)["patient_name"] == shown


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_other_attributes_become_plain_values() -> None:
    found = read(
        StudyDate="20240302", StudyTime="101530.25", SeriesNumber=3, PatientSex="f",
        PatientID="  P-1\0", AccessionNumber="A1", BodyPartExamined="chest", StudyInstanceUID="1.2.3",
        SeriesDescription="Chest", Rows=1,
    )  # fmt: skip
    assert (found["study_date"], found["study_time"]) == (date(2024, 3, 2), time(10, 15, 30))
    assert (found["series_number"], found["instance_number"]) == (3, None)
    damaged = made(SeriesNumber=7777).replace(b"7777", b"none")
    assert dicom.attributes_of(dicom.parse(damaged, pixels=False))["series_number"] is None
    assert (found["patient_sex"], found["patient_identifier"]) == ("F", "P-1")
    assert (found["accession_number"], found["body_part"], found["study_uid"]) == ("A1", "CHEST", "1.2.3")
    assert (found["rows"], found["number_of_frames"], found["series_description"]) == (1, None, "Chest")
    assert found["transfer_syntax"] == "1.2.840.10008.1.2.1"
    assert set(read(Modality=None)) == set(found), "the keys are always the same"


def view_code(meaning: str) -> Dataset:
    code = Dataset()
    code.CodeMeaning = meaning
    return code


def test_the_view_position_is_read_from_a_views_code() -> None:
    assert read(ViewCodeSequence=[view_code("Postero-anterior")])["view_position"] == "PA"
    assert read(ViewPosition="ap")["view_position"] == "AP"


def test_view_codes_that_are_not_frontal_are_told_from_those_that_are() -> None:
    """The meanings are all of PS3.16 CID 4010."""
    kept = {"frontal": "", "postero-anterior": "PA", "antero-posterior": "AP"}
    kept |= dict.fromkeys(("lateral", "left lateral", "right lateral", "lateral-medial", "medial-lateral"), "LATERAL")
    views = {meaning for meaning, groups in chain(*map(dict.values, concepts["SCT"].values())) if 4010 in groups}
    assert len(views) == 42
    assert set(kept) < views
    for meaning in views:
        dataset = Dataset()
        dataset.ViewCodeSequence = [view_code(meaning)]
        view, warned = view_position(dataset), bool(not_frontal_warnings(dataset))
        assert (view, warned) == (kept.get(meaning, view), meaning not in kept), meaning
        assert re.fullmatch("[A-Z ]{0,16}", view), meaning


def test_a_lack_of_memory_is_not_taken_for_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treating the element as missing would change the picture or the patient."""

    def get(*_: object) -> None:
        raise MemoryError

    dataset = Dataset()
    dataset.WindowCenter = 40
    monkeypatch.setattr(Dataset, "__getitem__", get)
    with pytest.raises(MemoryError):
        elements.value(dataset, "WindowCenter")


def test_a_deflated_file_is_inflated_only_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = made(syntax=DeflatedExplicitVRLittleEndian, pixels=bytes(2**23), PatientID="P-1")
    monkeypatch.setattr(zlib, "decompress", None)  # which has no limit
    assert dicom.attributes_of(dicom.parse(content, pixels=False))["patient_identifier"] == "P-1"
    monkeypatch.setattr("ml.pictures.dicom.files.MAX_DECODED_BYTES", 2**22)
    with pytest.raises(ImageError) as refused:
        dicom.parse(content)
    assert refused.value.code == "image_too_large"
