"""Orthanc's DICOMweb plugin as a client: it sends, searches and retrieves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import JPEGLSLossless

from tests import dicomweb, modality
from tests import orthanc as orthancs
from webapp.studies.models import Image

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long, orthancs.needed]


@pytest.fixture
def orthanc(served: str, token: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A running Orthanc, with this service configured as a DICOMweb server."""
    service = {"Url": f"{served}/dicomweb/", "HttpHeaders": {"Authorization": token}}
    with orthancs.running(tmp_path, DicomWeb={"Enable": True, "Servers": {"us": service}}) as running:
        yield running.client


def post_json(client: httpx.Client, path: str, **body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_orthanc_sends_searches_and_retrieves(orthanc: httpx.Client) -> None:
    images = [modality.image(number) for number in range(3)]
    images[2].compress(JPEGLSLossless, generate_instance_uid=False)
    uploaded = [orthanc.post("/instances", content=dicomweb.file(one)).json() for one in images]
    post_json(orthanc, "/dicom-web/servers/us/stow", Resources=[uploaded[0]["ParentStudy"]], Synchronous=True)
    stored = list(Image.objects.all())
    assert {image.instance_uid for image in stored} == {one.SOPInstanceUID for one in images}
    dicomweb.describe(stored)

    found = post_json(orthanc, "/dicom-web/servers/us/qido", Uri="/studies", Arguments={"PatientID": "4711"})
    assert len(found) == 1
    assert modality.STUDY in json.dumps(found)
    orthanc.delete(f"/studies/{uploaded[0]['ParentStudy']}").raise_for_status()
    post_json(orthanc, "/dicom-web/servers/us/retrieve", Resources=[{"Study": modality.STUDY}], Synchronous=True)
    retrieved = {orthanc.get(f"/instances/{one['ID']}/file").content for one in uploaded}
    stored_files = set()
    for image in stored:
        with image.file.open("rb") as file:
            stored_files.add(file.read())
    assert retrieved == stored_files
