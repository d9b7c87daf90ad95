"""The command that removes patients from a folder of DICOM files."""

import io
import json

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import JPEG2000Lossless, JPEGLSNearLossless, generate_uid

from deidentify.child import Child
from deidentify.errors import NotCleanedError
from ml import cli
from ml.pictures import deidentification, dicom
from tests import synthetic
from tests.dicom_files import made, stored

AREAS = '[[area]]\nmanufacturer = "acme"\nrectangles = [[0, 0, 40, 30]]\n'


@pytest.fixture
def folders(tmp_path):
    source = tmp_path / "Doe Jane"
    (source / "4711").mkdir(parents=True)
    identity = {"PatientID": "4711", "PatientName": "Doe^Jane", "StudyInstanceUID": generate_uid()}
    uids = [generate_uid() for _ in range(3)]
    for number, uid in enumerate(uids):
        (source / "4711" / f"Jane{number}.dcm").write_bytes(made(SOPInstanceUID=uid, **identity))
    (source / "notes.txt").write_text("Jane")
    return source, tmp_path / "out", tmp_path


def run(folders, *options):
    source, target, work = folders
    report = work / "report.jsonl"
    arguments = ["deidentify", str(source), str(target), "--key", str(work / "key"), "--report", str(report)]
    status = cli.main([*arguments, *options])
    return status, [json.loads(line) for line in report.read_text().splitlines()]


@pytest.mark.long
def test_a_second_run_writes_only_what_is_missing(folders):
    status, rows = run(folders)
    assert (status, [row["outcome"] for row in rows]) == (1, ["written"] * 3 + ["left out"])
    assert rows[-1]["code"] == "not_dicom"
    written = sorted(file for file in folders[1].rglob("*") if file.is_file())
    assert len(written) == 3
    assert len({file.parent for file in written}) == 1  # one patient
    assert not any("Jane" in str(file.relative_to(folders[1])) or b"Jane" in file.read_bytes() for file in written)
    assert (folders[2] / "key").stat().st_mode & 0o77 == 0
    written[0].unlink()
    modified = [file.stat().st_mtime_ns for file in written[1:]]
    _, rows = run(folders)
    assert sorted(row["outcome"] for row in rows) == ["left out", "there already", "there already", "written"]
    assert [file.stat().st_mtime_ns for file in written[1:]] == modified


def test_only_the_file_that_needs_too_much_memory_is_left_out():
    with Child(2**29) as child:
        for _ in range(2):  # a new process replaces the one that failed
            with pytest.raises(NotCleanedError) as raised:
                child.run(bytearray, 2**30)
            assert raised.value.code == "out_of_memory"
        assert child.run(len, b"abc") == 3


@pytest.mark.parametrize(
    ("syntax", "signed"), [(JPEG2000Lossless, False), (JPEG2000Lossless, True), (JPEGLSNearLossless, False)]
)
def test_compressed_pixels_are_decoded_to_blank_text(syntax, signed):
    values = stored(np.asarray(synthetic.xray(3, (200, 160)), np.uint8), 12, signed=signed)
    dataset = pydicom.dcmread(io.BytesIO(made(values, syntax=syntax, signed=signed)))
    deidentification.decompress(dataset)
    found = dataset.pixel_array
    assert not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    assert np.abs(found.astype(int) - values).max() <= (0 if syntax == JPEG2000Lossless else 8)


def test_areas_are_blanked_in_compressed_files_too(folders):
    (folders[0] / "compressed.dcm").write_bytes(made(syntax=JPEG2000Lossless, Manufacturer="ACME"))
    (folders[2] / "areas.toml").write_text(AREAS)
    _, rows = run(folders, "--areas", str(folders[2] / "areas.toml"))
    row = next(row for row in rows if row["file"] == "compressed.dcm")
    pixels = pydicom.dcmread(folders[1] / row["output"]).pixel_array
    assert (pixels[:30, :40] == 0).all()
    assert pixels[30:, 40:].any()


@pytest.mark.parametrize(
    "areas", ["[[area]]\nmodel = 1\n", "area = 3\n", "[[area]]\nrectangles = [[5, 0, 1, 9]]\n", "x"]
)
def test_an_invalid_list_of_areas_is_refused(folders, areas, capsys):
    (folders[2] / "areas.toml").write_text(areas)
    arguments = ["deidentify", str(folders[0]), str(folders[1]), "--key", str(folders[2] / "key")]
    assert cli.main([*arguments, "--areas", str(folders[2] / "areas.toml")]) == 2
    assert "areas.toml is no list of areas" in capsys.readouterr().err


@pytest.mark.long
def test_text_in_the_pixels_is_reported(folders):
    pytest.importorskip("pytesseract")
    picture = Image.fromarray(np.asarray(synthetic.xray(3, (900, 800)), np.uint8))
    ImageDraw.Draw(picture).text((60, 40), "DOE JANE 4711", 255, ImageFont.load_default(36))
    (folders[0] / "text.dcm").write_bytes(made(np.asarray(picture), bits=8))
    status, rows = run(folders, "--find-text")
    if status == 2:
        pytest.skip("Tesseract is not installed")
    found = next(row for row in rows if row["file"] == "text.dcm")["text"]
    assert any(box["left"] < 340 and box["top"] < 80 for box in found)
    assert "JANE" not in json.dumps(found)
    assert dicom.is_dicom((folders[1] / rows[0]["output"]).read_bytes())
