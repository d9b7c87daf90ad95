"""A result is sent although its image's file has values that DICOM does not allow."""

import io

import pytest
from pydicom import dcmread

from tests.worker.results import source_files
from tests.worker.results.test_objects import arrived
from worker.deliver.dicom import making

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")

DATES = [
    ("2020", ""), ("00000000", ""), ("20201332", ""), ("unknown", ""), ("2020.01.02", "20200102"),
    ("20200102-", "20200102"), ("20200102\\20200103", "20200102"),
]  # fmt: skip
TIMES = [
    ("10:10:10", "101010"), ("10:10", "101000"), ("101010.1234567", "101010"), ("99", ""), ("1", ""), ("24", ""),
    ("101010.123456", "101010.123456"), ("10", "10"),
]  # fmt: skip
SEXES = [("U", ""), ("Female", ""), ("\\M", ""), ("f", "F"), ("m", "M"), ("o", "O")]
NAMES = [("A^B\\C^D", "A^B"), ("RAM BAHADUR", "RAM BAHADUR")]
#: The values of other attributes, also too long or invalid ones, are those of the image.
KEPT = [
    ("PatientID", "P" * 70), ("AccessionNumber", "A" * 20), ("StudyID", "S" * 20), ("StudyInstanceUID", "1.2.03"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, *case) for name in ("PatientBirthDate", "StudyDate") for case in DATES]
    + [("StudyTime", *case) for case in TIMES]
    + [("PatientSex", *case) for case in SEXES]
    + [(name, *case) for name in ("PatientName", "ReferringPhysicianName") for case in NAMES]
    + [("StudyInstanceUID", "1.2\\1.3", "1.2")]
    + [(name, value, value) for name, value in KEPT],
)
def test_objects_have_allowed_values(dicom_image, make_revision, name, value, expected):
    image = dicom_image(content=source_files.cr(**{name: value}))
    objects = arrived(making.make(make_revision(image)))
    objects += arrived(making.make(make_revision(image, 2, verdict="NORMAL")))
    assert [data.Modality for data in objects] == ["SR", "OT", "SR", "KO"]
    assert {str(data[name].value or "") for data in objects} == {expected}


@pytest.mark.parametrize("name", ["SeriesInstanceUID", "SOPClassUID"])
def test_several_uids_are_as_good_as_the_first(dicom_image, make_revision, name):
    uid = dcmread(io.BytesIO(source_files.cr()))[name].value
    image = dicom_image(content=source_files.cr(**{name: f"{uid}\\1.2"}))
    assert len(making.make(make_revision(image))) == 2


def test_an_element_that_cannot_be_read_is_left_out(dicom_image, make_revision):
    # Its value has three bytes instead of two.
    content = source_files.cr(PregnancyStatus=4).replace(b"\xc0\x21US\x02\0\4\0", b"\xc0\x21US\x03\0\4\0\0")
    sr, _ = arrived(making.make(make_revision(dicom_image(content=content))))
    assert ("PregnancyStatus" in sr, str(sr.PatientName)) == (False, source_files.PATIENT)
