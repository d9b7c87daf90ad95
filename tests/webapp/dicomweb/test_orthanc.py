"""Orthanc's DICOMweb plugin as a client: it sends, searches and retrieves."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import JPEGLSLossless

from tests import dicomweb, modality
from tests.service import free_ports
from webapp.studies.models import Image

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which("Orthanc") and PLUGIN.exists()),
        reason="Orthanc is not installed: apt-get install orthanc orthanc-dicomweb",
    ),
]


@pytest.fixture
def orthanc(served: str, token: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """An Orthanc that knows this service."""
    http, dicom = free_ports(2)
    us = {"Url": f"{served}/dicomweb/", "HttpHeaders": {"Authorization": token}}
    configuration = {
        "StorageDirectory": str(tmp_path / "orthanc"), "IndexDirectory": str(tmp_path / "orthanc"), "HttpPort": http,
        "DicomPort": dicom, "AuthenticationEnabled": False, "RemoteAccessAllowed": False, "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Servers": {"us": us}},
    }  # fmt: skip
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(configuration))
    with (tmp_path / "orthanc.log").open("w") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as client:
            _wait_for(client)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            if client.get("/system").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("Orthanc does not answer")


def asked(client: httpx.Client, path: str, **body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_orthanc_sends_searches_and_retrieves(orthanc: httpx.Client) -> None:
    images = [modality.image(number) for number in range(3)]
    images[2].compress(JPEGLSLossless, generate_instance_uid=False)
    made = [orthanc.post("/instances", content=dicomweb.file(one)).json() for one in images]
    asked(orthanc, "/dicom-web/servers/us/stow", Resources=[made[0]["ParentStudy"]], Synchronous=True)
    stored = list(Image.objects.all())
    assert {image.instance_uid for image in stored} == {one.SOPInstanceUID for one in images}
    dicomweb.describe(stored)

    found = asked(orthanc, "/dicom-web/servers/us/qido", Uri="/studies", Arguments={"PatientID": "4711"})
    assert len(found) == 1
    assert modality.STUDY in json.dumps(found)
    orthanc.delete(f"/studies/{made[0]['ParentStudy']}").raise_for_status()
    asked(orthanc, "/dicom-web/servers/us/retrieve", Resources=[{"Study": modality.STUDY}], Synchronous=True)
    back = {orthanc.get(f"/instances/{one['ID']}/file").content for one in made}
    kept = set()
    for image in stored:
        with image.file.open("rb") as file:
            kept.add(file.read())
    assert back == kept
