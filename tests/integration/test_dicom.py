"""DCMTK's tools send a study while the service's listener is killed: no acknowledged image is lost."""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from openjpeg.utils import encode_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests import modality
from tests.service import ROOT, Service, free_ports, launched

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("dcmsend"), reason="DCMTK is not installed: apt-get install dcmtk"),
]
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless,
            JPEGLSLossless, JPEG2000Lossless)  # fmt: skip
ASSOCIATIONS, IMAGES_EACH = 8, 25
PEER = """
from webapp.departments.models import Department
from webapp.dicom.models import Peer
Peer.objects.create(ae_title="SCANNER", department=Department.objects.create(name="Ward", slug="ward"))
"""


def write_study(folder: Path) -> list[Path]:
    """Write a folder for each association, with images in all transfer syntaxes; return the folders."""
    folders = [folder / str(number) for number in range(ASSOCIATIONS)]
    for number, subfolder in enumerate(folders):
        subfolder.mkdir(parents=True)
        for index in range(IMAGES_EACH):
            series = f"{modality.STUDY}.{number + 1}"
            dataset = modality.image(
                number * IMAGES_EACH + index, SeriesInstanceUID=series, PatientName="Marked^Name", PatientID="MARKED-ID"
            )
            # storescu sends only uncompressed images, dcmsend sends all.
            syntax = SYNTAXES[index % (2 if number % 2 else len(SYNTAXES))]
            if syntax == JPEG2000Lossless:
                dataset.PixelData = modality.encapsulated(encode_array(dataset.pixel_array, bits_stored=12))
            elif syntax in (RLELossless, JPEGLSLossless):
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.save_as(subfolder / f"{index}.dcm", enforce_file_format=True)
    return folders


def start_sending(folder: Path, port: int) -> subprocess.Popen[str]:
    """Send a folder by a new association: with storescu if its number is odd, with dcmsend if it is even."""
    peers = ["-aet", "SCANNER", "-aec", "PNEUMOQUEUE", "127.0.0.1", str(port)]
    odd = int(folder.name) % 2
    command = (
        ["storescu", "-v", "+sd", *peers, str(folder)] if odd else ["dcmsend", "-v", "-dn", "+sd", *peers, str(folder)]
    )
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def acknowledged(process: subprocess.Popen[str]) -> int:
    """The number of images that were acknowledged as stored to a sender."""
    output, _ = process.communicate(timeout=120)
    return len(re.findall(r"Received (?:C-)?S(?:tore|TORE) Response \(Success\)", output))


def stored_uids(service: Service) -> list[str]:
    """The SOP Instance UID of each image, by series."""
    database = sqlite3.connect(f"file:{service.data_dir / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)
    try:
        return [
            f"{series} {uid}" for series, uid in database.execute("SELECT series_uid, instance_uid FROM dicom_instance")
        ]
    finally:
        database.close()


def kill_parent(service: Service) -> None:
    parent_of(service).kill()


def kill_child(service: Service) -> None:
    """Kill the process of the listener that has the most connections."""
    max(parent_of(service).children(), key=lambda process: len(process.net_connections())).kill()


def parent_of(service: Service) -> psutil.Process:
    return service.named(r"worker\.dicom")[0]


@pytest.mark.parametrize(
    ("kill", "line", "times"), [(kill_parent, "PNEUMOQUEUE listens", 2), (kill_child, "another one begins", 1)]
)
def test_no_acknowledged_image_is_lost_when_the_listener_is_killed(
    kill: Callable[[Service], None], line: str, times: int, tmp_path: Path
) -> None:
    folders = write_study(tmp_path / "study")
    [port] = free_ports(1)
    with launched(tmp_path / "data", DICOM_PORT=str(port)) as service:
        service.wait_ready()
        command = [sys.executable, "manage.py", "shell", "-c", PEER]
        environment = {"DATA_DIR": str(service.data_dir), "PATH": "/usr/bin:/bin"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

        senders = [start_sending(folder, port) for folder in folders]
        deadline = time.monotonic() + 60
        while len(stored_uids(service)) < 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        kill(service)
        counts = [acknowledged(sender) for sender in senders]
        uids = stored_uids(service)
        assert 0 < sum(counts) < ASSOCIATIONS * IMAGES_EACH
        for number, count in enumerate(counts):
            assert sum(uid.startswith(f"{modality.STUDY}.{number + 1} ") for uid in uids) >= count

        log = service.data_dir / "logs" / "dicom.log"
        while log.read_text().count(line) < times:
            time.sleep(0.1)
        senders = [start_sending(folder, port) for folder in folders]
        assert [acknowledged(sender) for sender in senders] == [IMAGES_EACH] * ASSOCIATIONS
        assert len(stored_uids(service)) == len(set(stored_uids(service))) == ASSOCIATIONS * IMAGES_EACH
        assert not [line for line in service.log_lines() if "marked" in line.lower()]
