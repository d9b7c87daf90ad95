"""WADO-RS returns files exactly as they are stored."""

import email
import io
import json
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests import dicom_files, dicomweb, modality, synthetic
from webapp.audit.models import Entry
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db
ANY = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def parts(answer: Any) -> list[tuple[str, bytes]]:
    """The types and contents of an answer's parts, as Python's own e-mail parser reads them."""
    assert answer.status_code == 200, answer.content
    content = b"".join(answer.streaming_content)
    message = email.message_from_bytes(b"Content-Type: " + answer["Content-Type"].encode() + b"\r\n\r\n" + content)
    return [(part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]


def address(image: Image) -> str:
    instance = image.instance
    return f"/dicomweb/studies/{instance.study_uid}/series/{instance.series_uid}/instances/{instance.instance_uid}"


@pytest.fixture
def store(scanner: Any) -> Any:
    def store_file(content: bytes) -> str:
        answer = dicomweb.store(scanner, dicomweb.body(content))
        assert answer.status_code == 200, answer.content
        return address(Image.objects.get(instance_uid=dicomweb.uids(answer)[0]))

    return store_file


def dicom_file(syntax: Any = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    all_attributes = {"StudyInstanceUID": modality.STUDY, "SeriesInstanceUID": f"{modality.STUDY}.1", **attributes}
    return dicom_files.made(np.asarray(synthetic.xray(1, (64, 48))), syntax=syntax, bits=8, **all_attributes)


def test_instances_are_returned_as_they_were_sent(scanner, store):
    files = [dicom_file(), dicom_file(JPEGBaseline8Bit)]
    first, _ = (store(one) for one in files)
    study = f"/dicomweb/studies/{modality.STUDY}"
    for path in (study, f"{study}/series/{modality.STUDY}.1"):
        found = parts(scanner.get(path, headers={"Accept": 'multipart/related; type="application/dicom"'}))
        assert {content for _, content in found} == set(files)
        syntaxes = {dcmread(io.BytesIO(one)).file_meta.TransferSyntaxUID for one in files}
        assert {kind.rpartition("=")[2] for kind, _ in found} == syntaxes
    assert parts(scanner.get(first))[0][1] == files[0]
    alone = scanner.get(first, headers={"Accept": "application/dicom"})
    assert b"".join(alone.streaming_content) == files[0]
    assert Entry.objects.filter(action="download", kind="studies.study").exists()


def test_a_refused_transfer_syntax_names_the_alternative(scanner, store, problem):
    url = store(dicom_file(JPEGBaseline8Bit))
    accept = 'multipart/related; type="application/dicom"; transfer-syntax='
    refused = problem(
        scanner.get(url, headers={"Accept": accept + ExplicitVRLittleEndian}), 406, "representation_not_available"
    )
    assert "transfer-syntax=*" in refused["detail"]
    for syntax in ("*", JPEGBaseline8Bit):
        assert len(parts(scanner.get(url, headers={"Accept": accept + syntax}))) == 1


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_uncompressed_frames_are_returned_as_raw_pixel_values(scanner, store, syntax):
    values = np.asarray(synthetic.xray(1, (64, 48)))
    url = store(
        dicom_file(syntax, pixels=values.tobytes() * 3, NumberOfFrames=3, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2")
    )
    found = parts(scanner.get(f"{url}/frames/1,3"))
    assert [content for _, content in found] == [values.tobytes()] * 2
    assert found[0][0] == f"application/octet-stream; transfer-syntax={syntax}"
    assert len(parts(scanner.get(f"{url}/bulkdata/7FE00010"))) == 3


@pytest.mark.parametrize(("syntax", "kind"), [(JPEGBaseline8Bit, "image/jpeg"), (RLELossless, "image/dicom-rle")])
def test_compressed_frames_are_returned_as_stored(scanner, store, problem, syntax, kind):
    content = dicom_file(syntax)
    url = store(content)
    for accept, expected_type in (
        (f'multipart/related; type="{kind}"', kind),
        ("*/*", kind),
        (ANY, "application/octet-stream"),
    ):
        ((part_type, frame),) = parts(scanner.get(f"{url}/frames/1", headers={"Accept": accept}))
        assert part_type == f"{expected_type}; transfer-syntax={syntax}"
        assert frame in content
    decoded = 'multipart/related; type="application/octet-stream"'
    problem(scanner.get(f"{url}/frames/1", headers={"Accept": decoded}), 406, "representation_not_available")


def test_frames_that_cannot_be_returned_are_refused(scanner, store, problem):
    url = store(dicom_file())
    for numbers in ("0", "2", "1,2", "1," * 150 + "1"):
        problem(scanner.get(f"{url}/frames/{numbers}"), 400, "invalid_parameter")
    for syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        problem(scanner.get(f"{store(dicom_file(syntax))}/frames/1"), 406, "representation_not_available")
    problem(scanner.get(f"{store(dicom_file(pixels=b'12'))}/frames/1"), 400, "image_corrupt")


def test_metadata_match_the_file_except_for_bulk_data(scanner, store):
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "OW", b"12345678")
    attributes = {
        "PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100", "WindowCenter": [128.5, 90],
        "VOILUTSequence": [table], "RedPaletteColorLookupTableData": b"0" * 2000,
    }  # fmt: skip
    content = dicom_file(**attributes)
    url = store(content)
    answer = scanner.get(f"{url}/metadata")
    assert answer["Content-Type"] == "application/dicom+json"
    (found,) = json.loads(b"".join(answer.streaming_content))
    bulk = f"http://testserver{url}/bulkdata/"
    assert found.pop("7FE00010") == {"vr": "OW", "BulkDataURI": f"{bulk}7FE00010"}
    assert found.pop("00281201") == {"vr": "OW", "BulkDataURI": f"{bulk}00281201"}
    read = Dataset.from_json(found)
    original = dcmread(io.BytesIO(content), stop_before_pixels=True)
    original.decode()
    original.SpecificCharacterSet = "ISO_IR 192"
    del original["RedPaletteColorLookupTableData"]
    assert read == Dataset(original)
    assert parts(scanner.get(f"{url}/bulkdata/00281201"))[0][1] == b"0" * 2000
    assert scanner.get(f"{url}/bulkdata/00281202").status_code == 404


def test_metadata_of_a_damaged_file_come_from_the_database(scanner, store, problem):
    url = store(dicom_file())
    image = Image.objects.get()
    default_storage.delete(image.file.name)
    default_storage.save(image.file.name, ContentFile(b"no DICOM"))
    Image.objects.update(sha256="")
    (found,) = json.loads(b"".join(scanner.get(f"{url}/metadata").streaming_content))
    assert found["00080018"]["Value"] == [image.instance_uid]
    problem(scanner.get(f"{url}/frames/1"), 400, "image_corrupt")
    default_storage.delete(image.file.name)
    problem(scanner.get(f"{url}/frames/1"), 409, "file_gone")


def test_the_rendered_picture_is_the_preview(scanner, store, problem):
    url = store(dicom_file())
    problem(scanner.get(f"{url}/rendered"), 409, "not_read_yet")
    name = default_storage.save("previews/a.jpg", ContentFile(synthetic.xray_jpeg()))
    Image.objects.update(preview=name)
    answer = scanner.get(f"{url}/rendered", headers={"Accept": "image/jpeg"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    answer = scanner.get(f"{url}/rendered", headers={"Accept": "image/gif"})
    problem(answer, 406, "representation_not_available")
    problem(scanner.get(f"{url}/rendered?window=40,400,linear"), 400, "unknown_parameter")


def test_missing_studies_and_series_are_404(scanner, store, problem):
    store(dicom_file())
    for path in ("/studies/1.2.3", f"/studies/{modality.STUDY}/series/1.2", "/studies/1.2.3/metadata"):
        problem(scanner.get(f"/dicomweb{path}"), 404, "not_found")
