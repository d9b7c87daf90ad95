"""Nothing that the service writes or measures names a patient: marked names are sent, and looked for in all of it."""

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

NAMED = {
    "PatientName": "Markedname^Jane", "PatientID": "MARKEDNAME-1", "PatientBirthDate": "20210704", "PatientAge": "004Y",
    "AccessionNumber": "MARKEDNAME-2", "StudyDescription": "markedname", "InstitutionName": "Markedname",
    "ImageComments": "markedname", "BodyPartExamined": "CHEST",
}  # fmt: skip
#: A date of birth counts as well.
MARKS = ("markedname", "20210704", "2021-07-04")
PEER = """
from webapp.departments.models import Department
from webapp.dicom.models import Peer
Peer.objects.create(ae_title="SCANNER", department=Department.objects.create(name="Ward", slug="ward"))
"""
ENDINGS = ("succeeded", "failed", "cancelled")


def damaged() -> dict[str, bytes]:
    """Files that fail in different places, each with the marks."""
    whole = made(**NAMED)
    return {
        "cut": whole[:-9000],
        "short": whole[:700],
        "no pixels": made(**NAMED, PixelData=None),
        "CT": made(**NAMED | {"Modality": "CT"}),
        "pixels": made(pixels=b"markedname", **NAMED),
        "name": whole.replace(b"PN", b"SQ"),
        "age": made(**NAMED | {"PatientAge": "MARKEDNAME"}),
        "date": made(**NAMED | {"PatientBirthDate": "markedname"}),
        "UID": made(**NAMED, SOPInstanceUID="markedname"),
    }


def upload(client: httpx.Client) -> None:
    """Send the files, one of them whole, and wait until all have come to their end."""
    files = {"whole": made(**NAMED), **damaged()}
    parts = [("files", (f"markedname {name}.dcm", content)) for name, content in files.items()]
    form = {"name": "markedname", "patient": "MARKEDNAME-3"}
    study = client.post("/api/v1/studies/", data=form, files=parts).raise_for_status().json()
    until = time.monotonic() + 180
    while client.get(study["url"], params={"wait": 10}).json()["status"] != "finished":
        assert time.monotonic() < until


def listen(service: Service, port: int) -> None:
    run = [sys.executable, "manage.py", "shell", "-c", PEER]
    environment = {"DATA_DIR": str(service.data_dir), "PATH": "/usr/bin:/bin"}
    subprocess.run(run, cwd=ROOT, env=environment, check=True, capture_output=True)
    whole = modality.image(**NAMED)
    changed = modality.image(7, **{**NAMED, "SOPInstanceUID": whole.SOPInstanceUID})
    strange = modality.image(**{**NAMED, "PatientBirthDate": "markedname", "StudyInstanceUID": ""})
    assert modality.send(port, whole, whole, changed, strange)[:3] == [0, 0, 0]


def test_no_log_metric_or_error_names_a_patient(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with running(tmp_path / "data", DICOM_PORT=str(port), LOG_LEVEL="DEBUG") as service:
        token = httpx.post(
            f"{service.url}/api/v1/auth/token/", json={"username": "admin", "password": service.admin_password}
        ).json()["token"]
        with httpx.Client(base_url=service.url, headers={"Authorization": f"Token {token}"}, timeout=60) as client:
            listen(service, port)
            upload(client)
            errors = [
                client.get("/api/v1/images/", params={"search": "markedname"}),
                client.get("/markedname/"), client.get("/api/v1/images/markedname/"),
                client.post("/api/v1/images/", files={"file": ("markedname.dcm", b"DICM")}),
            ]  # fmt: skip
            assert {answer.status_code for answer in errors[1:]} <= {400, 404, 415}
            measured = client.get("/metrics").text
        written = [*service.log_lines(), *service.lines, *measured.splitlines()]
    assert len(written) > 200
    assert [line for line in written if any(mark in line.lower() for mark in MARKS)] == []
