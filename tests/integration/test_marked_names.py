"""No log, metric or error names a patient: the test sends marked names and looks for them in all output."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests import modality
from tests.dicom_files import made
from tests.service import ROOT, Service, free_ports, running

pytestmark = [pytest.mark.integration, pytest.mark.long]

ATTRIBUTES = {
    "PatientName": "Markedname^Jane", "PatientID": "MARKEDNAME-1", "PatientBirthDate": "20210704", "PatientAge": "004Y",
    "AccessionNumber": "MARKEDNAME-2", "StudyDescription": "markedname", "InstitutionName": "Markedname",
    "ImageComments": "markedname", "BodyPartExamined": "CHEST",
}  # fmt: skip
#: Text that must not appear; a date of birth identifies a patient too.
MARKS = ("markedname", "20210704", "2021-07-04")
PEER = """
from webapp.departments.models import Department
from webapp.dicom.models import Peer
Peer.objects.create(ae_title="SCANNER", department=Department.objects.create(name="Ward", slug="ward"))
"""
ENDINGS = ("succeeded", "failed", "cancelled")


def damaged() -> dict[str, bytes]:
    """Files that fail in different places, each with marked names."""
    whole = made(**ATTRIBUTES)
    return {
        "cut": whole[:-9000],
        "short": whole[:700],
        "no pixels": made(**ATTRIBUTES, PixelData=None),
        "CT": made(**ATTRIBUTES | {"Modality": "CT"}),
        "pixels": made(pixels=b"markedname", **ATTRIBUTES),
        "name": whole.replace(b"PN", b"SQ"),
        "age": made(**ATTRIBUTES | {"PatientAge": "MARKEDNAME"}),
        "date": made(**ATTRIBUTES | {"PatientBirthDate": "markedname"}),
        "UID": made(**ATTRIBUTES, SOPInstanceUID="markedname"),
    }


def upload(client: httpx.Client) -> None:
    """Send the files, one of them undamaged, and wait until all are finished."""
    files = {"whole": made(**ATTRIBUTES), **damaged()}
    parts = [("files", (f"markedname {name}.dcm", content)) for name, content in files.items()]
    form = {"name": "markedname", "patient": "MARKEDNAME-3"}
    study = client.post("/api/v1/studies/", data=form, files=parts).raise_for_status().json()
    deadline = time.monotonic() + 180
    while client.get(study["url"], params={"wait": 10}).json()["status"] != "finished":
        assert time.monotonic() < deadline


def send_by_dicom(service: Service, port: int) -> None:
    command = [sys.executable, "manage.py", "shell", "-c", PEER]
    environment = {"DATA_DIR": str(service.data_dir), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    whole = modality.image(**ATTRIBUTES)
    changed = modality.image(7, **{**ATTRIBUTES, "SOPInstanceUID": whole.SOPInstanceUID})
    strange = modality.image(**{**ATTRIBUTES, "PatientBirthDate": "markedname", "StudyInstanceUID": ""})
    assert modality.send(port, whole, whole, changed, strange)[:3] == [0, 0, 0]


def test_no_log_metric_or_error_names_a_patient(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with running(tmp_path / "data", DICOM_PORT=str(port), LOG_LEVEL="DEBUG") as service:
        token = httpx.post(
            f"{service.url}/api/v1/auth/token/", json={"username": "admin", "password": service.admin_password}
        ).json()["token"]
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Token {token}"}, timeout=60) as client:
            send_by_dicom(service, port)
            upload(client)
            errors = [
                client.get("/api/v1/images/", params={"search": "markedname"}),
                client.get("/markedname/"), client.get("/api/v1/images/markedname/"),
                client.post("/api/v1/images/", files={"file": ("markedname.dcm", b"DICM")}),
            ]  # fmt: skip
            assert {answer.status_code for answer in errors[1:]} <= {400, 404, 415}
            metrics = client.get("/metrics").text
        written = [*service.log_lines(), *service.lines, *metrics.splitlines()]
    assert len(written) > 200
    assert [line for line in written if any(mark in line.lower() for mark in MARKS)] == []
