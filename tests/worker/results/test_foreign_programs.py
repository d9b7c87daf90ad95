"""Results checked with third-party programs: DCMTK's storescp and dsrdump, and dicom3tools' dciodvfy."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.worker.results.outbox import announce, deliver, free_port, make_due
from webapp.reviews.services import review
from worker.deliver.dicom import making

pytestmark = pytest.mark.long


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed (dcmtk, dicom3tools)")


@needs("dciodvfy", "dsrdump")
@pytest.mark.parametrize(
    "fields", [{}, {"verdict": "NORMAL"}, {"verdict": "PNEUMONIA", "group": "unclear"}, {"group": "unusable"}]
)
def test_each_object_is_valid_and_can_be_printed(dicom_image, make_revision, tmp_path, fields):
    image = dicom_image(group=fields.get("group", "positive"))
    make_revision(image)
    objects = making.make(make_revision(image, 2, **fields))
    assert len(objects) >= 2
    for data in objects:
        path = tmp_path / f"{data.Modality}.dcm"
        data.save_as(path, enforce_file_format=True)
        validation = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert "Error" not in validation.stdout + validation.stderr, validation.stderr
        if data.Modality != "OT":
            tree = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True).stdout
            assert "PneumoQueue" in tree
            assert ("Pneumonia" if data.Modality == "SR" else "Rejected for Patient Safety Reasons") in tree


def storescp(port: int, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = ["storescp", "--aetitle", "PACS", "--output-directory", folder, "--unique-filenames", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        if (
            subprocess.run(
                ["echoscu", "-aec", "PACS", "localhost", str(port)], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return process
        time.sleep(0.1)
    raise AssertionError("storescp did not start")


@needs("storescp", "echoscu")
def test_results_made_while_the_archive_was_off_arrive_when_it_is_on(dicom_image, destination, reader, tmp_path):
    port = free_port()
    destination(port, host="localhost")
    images = [dicom_image(number) for number in range(4)]
    announce(*images)
    assert deliver() == {"delivered": 1, "failed": 1}
    review(images[0], reader, "NORMAL")
    assert deliver() == {"delivered": 2}, "the new result is announced to PACS, and the correction to webhooks"
    archive = storescp(port, tmp_path / "archive")
    try:
        make_due()
        assert deliver() == {"delivered": 5}
    finally:
        archive.terminate()
        archive.wait()
    stored = [dcmread(path) for path in (tmp_path / "archive").iterdir()]
    assert sorted(data.Modality for data in stored) == ["KO", *["OT"] * 4, *["SR"] * 5]
    assert len({data.SOPInstanceUID for data in stored}) == 10
    assert {data.StudyInstanceUID for data in stored} == {dcmread(images[0].file.open()).StudyInstanceUID}
