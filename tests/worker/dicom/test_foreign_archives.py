"""Third-party PACS, Orthanc and DCMTK's dcmqrscp, are searched and send their images unchanged."""

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
    missing = [name for name in (program, "dcmsend", "echoscu") if shutil.which(name) is None]
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
                echo = ["echoscu", "-aet", "PNEUMOQUEUE", "-aec", "ARCHIVE", "127.0.0.1", str(port)]
                if subprocess.run(echo, capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize("program", [pytest.param(name, marks=needs(name)) for name in ("Orthanc", "dcmqrscp")])
@pytest.mark.parametrize("how", ["get", "move"])
def test_images_are_found_and_fetched_unchanged(program, how, department, port, tmp_path):
    attributes = {"PatientID": "4711", "PatientName": "Doe^Ada", "StudyInstanceUID": "1.2.3", "StudyDate": "20260102",
            "BodyPartExamined": "CHEST", "StudyID": "1", "AccessionNumber": "A-7", "SeriesInstanceUID": "1.2.3.1",
            "StudyTime": "101500"}  # fmt: skip
    # dcmqrscp sends each class in one transfer syntax, and answers A702 for an image in another one.
    syntaxes = [ExplicitVRLittleEndian, JPEG2000Lossless][: 2 if program == "Orthanc" else 1]
    files = [made(**attributes, syntax=syntax) for syntax in syntaxes]
    for number, content in enumerate(files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
    archive_port = free_port()
    with running(program, tmp_path, archive_port, port):
        dcmsend = ["dcmsend", "-aet", "PNEUMOQUEUE", "-aec", "ARCHIVE", "127.0.0.1", str(archive_port)]
        subprocess.run([*dcmsend, *map(str, sorted(tmp_path.glob("*.dcm")))], check=True)
        destination = Destination.objects.create(
            department=department, name="PACS", host="127.0.0.1", port=archive_port, called_ae="ARCHIVE", retrieves=how
        )
        Peer.objects.create(ae_title="ARCHIVE", department=department)
        search = searching.search(Identity(), destination, {"patient_name": "Doe", "date_from": "2026-01-01"})
        deliver()
        search.refresh_from_db()
        assert [(row["study_uid"], row["date"], row["modalities"]) for row in search.found] == [
            # dcmqrscp does not return a study's modalities, which are optional.
            ("1.2.3", "2026-01-02", ["DX"] if program == "Orthanc" else [])
        ], search.error
        [retrieval] = searching.retrieve(Identity(), search, ["1.2.3"])
        deliver()
    retrieval.refresh_from_db()
    assert (retrieval.state, retrieval.arrived, retrieval.error) == (Progress.DONE, len(files), "")
    stored = [dcmread(default_storage.open(image.file.name)) for image in Image.objects.all()]
    assert {data.file_meta.TransferSyntaxUID for data in stored} == set(syntaxes)
    assert {data.PixelData for data in stored} == {dcmread(path).PixelData for path in tmp_path.glob("*.dcm")}
