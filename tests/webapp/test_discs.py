"""CDs with images: DICOM files in any folder are taken, but not the DICOMDIR or the files of viewers."""

import pytest

from tests import synthetic
from tests.dicom_files import made
from webapp.studies.files import names
from webapp.studies.models import Image
from webapp.studies.services import contents

IMAGE = made()
VIEWER = {
    "AUTORUN.INF": b"[autorun]", "README.TXT": b"Please read", "START.EXE": b"MZ" + bytes(50), "DICOMDIR": IMAGE,
    "VIEWER/APP.DLL": b"MZ", "VIEWER/LOGO.PNG": b"\x89PNG", "VIEWER/HELP/PAGE.HTM": b"<html>",
    "VIEWER/HELP/PICTURE.JPG": b"\xff\xd8", "IHE_PDI/INDEX.HTM": b"<html>", "IHE_PDI/PICTURES/1.JPG": b"\xff\xd8",
}  # fmt: skip
IMAGES = {"DICOM/PAT00001/ST000001/SE000001/IM000001": IMAGE, "DICOM/A.dcm": IMAGE, "DICOM/1.2.840.5": IMAGE}


@pytest.fixture
def unpacked(client, unpack_all):
    """Upload a ZIP as a study and unpack it. Return the response to the upload."""

    def run(files):
        answer = client.upload_study({"cd.zip": synthetic.zip_of(files)})
        assert answer.status_code == 202, answer.content
        unpack_all()
        return answer.json()

    return run


def test_images_of_a_cd_are_taken_and_its_other_files_are_named(unpacked):
    answer = unpacked({**VIEWER, **IMAGES, "EXTRA/CHEST.PNG": synthetic.xray_png(1, (100, 100))})
    assert answer["total"] == 4
    assert sorted(answer["skipped"]) == sorted(f"cd.zip/{path}" for path in VIEWER)
    assert not Image.objects.exclude(error_code="").exists()
    assert set(Image.objects.values_list("filename", flat=True)) == {*IMAGES, "EXTRA/CHEST.PNG"}
    stored = [str(image.file.name) for image in Image.objects.all()]
    assert sorted(name.rpartition(".")[2] for name in stored) == ["dcm", "dcm", "dcm", "png"]


def test_files_outside_the_folder_of_a_cd_are_not_skipped(unpacked):
    on_disc = {f"Patient 1/{path}": content for path, content in {**VIEWER, **IMAGES}.items()}
    answer = unpacked({**on_disc, "notes.txt": b"no image", "chest.png": synthetic.xray_png(1, (100, 100))})
    assert answer["total"] == len(IMAGES) + 2
    assert dict(Image.objects.exclude(error_code="").values_list("filename", "error_code")) == {
        "notes.txt": "not_an_image"
    }


def test_without_a_cd_no_file_is_skipped(unpacked):
    answer = unpacked({"a.dcm": IMAGE, "b.png": synthetic.xray_png(1, (100, 100)), "readme.txt": b"text"})
    assert (answer["total"], answer.get("skipped")) == (3, None)


def test_a_cd_can_have_more_files_than_are_listed():
    paths = ["DICOMDIR", *(f"VIEWER/{number}.DLL" for number in range(500))]
    assert names.disc_files(paths) == set(paths)
    assert len(paths) > contents.LISTED


def test_files_of_a_cd_are_skipped_if_they_are_uploaded_with_dicom_files(client):
    chest = synthetic.xray_png(1, (100, 100))
    files = {"IM000001": IMAGE, "DICOMDIR": IMAGE, "AUTORUN.INF": b"[autorun]", "VIEWER.EXE": b"MZ", "chest.png": chest}
    answer = client.upload_study(files)
    assert answer.status_code == 202, answer.content
    assert (answer.json()["total"], sorted(answer.json()["skipped"])) == (2, ["AUTORUN.INF", "DICOMDIR", "VIEWER.EXE"])


@pytest.mark.parametrize("content", [IMAGE, IMAGE[132:]])
@pytest.mark.parametrize("name", ["chest.dcm", "IM000001", "chest.jpg"])
def test_a_dicom_file_is_accepted_under_any_name(client, content, name):
    answer = client.upload(content, name)
    assert answer.status_code == 202
    assert str(Image.objects.get(pk=answer.json()["id"]).file.name).endswith(".dcm")
