"""The service keeps the listed attributes of DICOM files, and no others."""

import io
import re
from pathlib import Path

import pydicom

from ml.pictures.dicom import attributes_of
from tests.dicom_files import made
from webapp.dicom.minimum import OF_INSTANCES, OF_PATIENTS
from webapp.dicom.services.instances import FIELDS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "privacy.md"


def test_the_attributes_that_are_read_are_those_that_are_listed() -> None:
    # The attributes that rules check are not kept.
    assert set(attributes_of(pydicom.dcmread(io.BytesIO(made())))) - {"for_rules"} == set(OF_INSTANCES | OF_PATIENTS)


def test_the_attributes_that_are_kept_are_those_that_are_listed() -> None:
    assert {field.name for field in FIELDS} == set(OF_INSTANCES)


def test_the_privacy_page_gives_the_same_reasons() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", DOCS.read_text(), re.MULTILINE))
    assert rows == OF_INSTANCES | OF_PATIENTS
