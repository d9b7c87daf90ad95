"""PACS that others wrote, Orthanc and DCMTK's dcmqrscp, are searched and send what they have as they have it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from tests.dicom_files import made
from tests.modality import committed_rows
from tests.worker.results.outbox import deliver, free_port
from webapp.accounts.identity import Identity
from webapp.dicom.models import Destination, Peer, Progress
from webapp.dicom.services import searching
from webapp.studies.models import Image

pytestmark = [committed_rows, pytest.mark.long]
QUEUE = """
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
us = (PNEUMOQUEUE, 127.0.0.1, {listener})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE {folder} RW (200, 1024mb) ANY
AETable END
"""


def needs(program: str) -> pytest.MarkDecorator:
    missing = [one for one in (program, "dcmsend", "echoscu") if shutil.which(one) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


def command(program: str, folder: Path, port: int, listener: int) -> list[str]:
    if program == "dcmqrscp":
        (folder / "dcmqrscp.cfg").write_text(QUEUE.format(port=port, listener=listener, folder=folder))
        return ["dcmqrscp", "--config", str(folder / "dcmqrscp.cfg")]
    settings: dict[str, Any] = {
        "DicomAet": "ARCHIVE", "DicomPort": port, "HttpServerEnabled": False, "StorageDirectory": str(folder / "db"),
        "DicomModalities": {"us": ["PNEUMOQUEUE", "127.0.0.1", listener]}, "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True, "TranscodeDicomProtocol": False,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    return ["Orthanc", str(folder / "orthanc.json")]


@contextmanager
def running(program: str, folder: Path, port: int, listener: int) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(program, folder, port, listener), stdout=log, stderr=log)
        try:
            for _ in range(300):
                asked = ["echoscu", "-aet", "PNEUMOQUEUE", "-aec", "ARCHIVE", "127.0.0.1", str(port)]
                if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize("program", [pytest.param(name, marks=needs(name)) for name in ("Orthanc", "dcmqrscp")])
@pytest.mark.parametrize("how", ["get", "move"])
def test_what_is_there_is_found_and_comes_as_it_is(program, how, department, port, tmp_path):
    said = {"PatientID": "4711", "PatientName": "Doe^Ada", "StudyInstanceUID": "1.2.3", "StudyDate": "20260102",
            "BodyPartExamined": "CHEST", "StudyID": "1", "AccessionNumber": "A-7", "SeriesInstanceUID": "1.2.3.1",
            "StudyTime": "101500"}  # fmt: skip
    # dcmqrscp sends each class in one transfer syntax, and answers A702 for an image in another one.
    syntaxes = [ExplicitVRLittleEndian, JPEG2000Lossless][: 2 if program == "Orthanc" else 1]
    files = [made(**said, syntax=syntax) for syntax in syntaxes]
    for number, content in enumerate(files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    archive = free_port()
    with running(program, tmp_path, archive, port):
        sent = ["dcmsend", "-aet", "PNEUMOQUEUE", "-aec", "ARCHIVE", "127.0.0.1", str(archive)]
        subprocess.run([*sent, *map(str, sorted(tmp_path.glob("*.dcm")))], check=True)
        destination = Destination.objects.create(
            department=department, name="PACS", host="127.0.0.1", port=archive, called_ae="ARCHIVE", retrieves=how
        )
        Peer.objects.create(ae_title="ARCHIVE", department=department)
        made_search = searching.search(Identity(), destination, {"patient_name": "Doe", "date_from": "2026-01-01"})
        deliver()
        made_search.refresh_from_db()
        assert [(one["study_uid"], one["date"], one["modalities"]) for one in made_search.found] == [
            # dcmqrscp does not say what modalities a study has, which is optional.
            ("1.2.3", "2026-01-02", ["DX"] if program == "Orthanc" else [])
        ], made_search.error
        [one] = searching.retrieve(Identity(), made_search, ["1.2.3"])
        deliver()
    one.refresh_from_db()
    assert (one.state, one.arrived, one.error) == (Progress.DONE, len(files), "")
    stored = [dcmread(default_storage.open(image.file.name)) for image in Image.objects.all()]
    assert {data.file_meta.TransferSyntaxUID for data in stored} == set(syntaxes)
    assert {data.PixelData for data in stored} == {dcmread(path).PixelData for path in tmp_path.glob("*.dcm")}
