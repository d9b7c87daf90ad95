"""A scanner stores an image by DICOMweb, workers read it, and the report can be fetched by DICOMweb."""

import io
import time

import pytest
from pydicom import dcmread

from tests import clients, dicomweb, modality
from tests.service import Service
from webapp.dicom.results import REPORT

pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_an_image_that_a_scanner_stores_gets_a_report(service: Service) -> None:
    image = modality.image(3, side=300)
    token = clients.scanners_token(service, "dicomweb")
    with clients.client(service, headers={"Authorization": f"Bearer {token}"}) as api:
        stored = api.post(
            "/dicomweb/studies",
            content=dicomweb.body(dicomweb.file(image)),
            headers={"Content-Type": dicomweb.TYPE, "Accept": "application/dicom+json"},
        ).raise_for_status()
        assert dicomweb.uids(stored) == [image.SOPInstanceUID]
        study = f"/dicomweb/studies/{image.StudyInstanceUID}"
        deadline = time.monotonic() + 120
        while not (reports := api.get(f"{study}/instances", params={"SOPClassUID": REPORT.class_uid}).json()):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        series, instance = reports[0]["0020000E"]["Value"][0], reports[0]["00080018"]["Value"][0]
        answer = api.get(
            f"{study}/series/{series}/instances/{instance}",
            headers={"Accept": 'multipart/related; type="application/dicom"'},
        ).raise_for_status()
    report = dcmread(io.BytesIO(answer.content[answer.content.index(b"\0" * 128 + b"DICM") :]), force=True)
    assert (report.SOPInstanceUID, report.PatientID, report.Modality) == (instance, image.PatientID, "SR")
