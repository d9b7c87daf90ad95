"""A study that DCMTK's tools send to the service, whose listener is killed meanwhile."""

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
ASSOCIATIONS, EACH = 8, 25
PEER = """
from webapp.departments.models import Department
from webapp.dicom.models import Peer
Peer.objects.create(ae_title="SCANNER", department=Department.objects.create(name="Ward", slug="ward"))
"""


def write_study(folder: Path) -> list[Path]:
    """A folder for each association, with images in all transfer syntaxes."""
    folders = [folder / str(number) for number in range(ASSOCIATIONS)]
    for number, one in enumerate(folders):
        one.mkdir(parents=True)
        for index in range(EACH):
            series = f"{modality.STUDY}.{number + 1}"
            made = modality.image(
                number * EACH + index, SeriesInstanceUID=series, PatientName="Marked^Name", PatientID="MARKED-ID"
            )
            # storescu sends what is not compressed, dcmsend everything.
            syntax = SYNTAXES[index % (2 if number % 2 else len(SYNTAXES))]
            if syntax == JPEG2000Lossless:
                made.PixelData = modality.encapsulated(encode_array(made.pixel_array, bits_stored=12))
            elif syntax in (RLELossless, JPEGLSLossless):
                made.compress(syntax, generate_instance_uid=False)
            made.file_meta.TransferSyntaxUID = syntax
            made.save_as(one / f"{index}.dcm", enforce_file_format=True)
    return folders


def start_sending(folder: Path, port: int) -> subprocess.Popen[str]:
    """Send a folder by an association of its own: by storescu from odd ones, by dcmsend from even ones."""
    peers = ["-aet", "SCANNER", "-aec", "PNEUMOQUEUE", "127.0.0.1", str(port)]
    odd = int(folder.name) % 2
    command = (
        ["storescu", "-v", "+sd", *peers, str(folder)] if odd else ["dcmsend", "-v", "-dn", "+sd", *peers, str(folder)]
    )
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def acknowledged(process: subprocess.Popen[str]) -> int:
    """How many images a sender was told are stored."""
    output, _ = process.communicate(timeout=120)
    return len(re.findall(r"Received (?:C-)?S(?:tore|TORE) Response \(Success\)", output))


def stored(service: Service) -> list[str]:
    """The SOP Instance UID of each image, by series."""
    database = sqlite3.connect(f"file:{service.data_dir / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)
    try:
        return [
            f"{series} {uid}" for series, uid in database.execute("SELECT series_uid, instance_uid FROM dicom_instance")
        ]
    finally:
        database.close()


def killed_parent(service: Service) -> None:
    parent_of(service).kill()


def killed_child(service: Service) -> None:
    """Kill the one of the listener's processes that has most of the senders."""
    max(parent_of(service).children(), key=lambda one: len(one.net_connections())).kill()


def parent_of(service: Service) -> psutil.Process:
    return service.named(r"worker\.dicom")[0]


@pytest.mark.parametrize(
    ("kill", "line", "times"), [(killed_parent, "PNEUMOQUEUE listens", 2), (killed_child, "another one begins", 1)]
)
def test_no_acknowledged_image_is_lost_when_the_listener_is_killed(
    kill: Callable[[Service], None], line: str, times: int, tmp_path: Path
) -> None:
    folders = write_study(tmp_path / "study")
    [port] = free_ports(1)
    with launched(tmp_path / "data", DICOM_PORT=str(port)) as service:
        service.wait_ready()
        run = [sys.executable, "manage.py", "shell", "-c", PEER]
        environment = {"DATA_DIR": str(service.data_dir), "PATH": "/usr/bin:/bin"}
        subprocess.run(run, cwd=ROOT, env=environment, check=True, capture_output=True)

        senders = [start_sending(folder, port) for folder in folders]
        until = time.monotonic() + 60
        while len(stored(service)) < 60 and time.monotonic() < until:
            time.sleep(0.02)
        kill(service)
        told = [acknowledged(sender) for sender in senders]
        kept = stored(service)
        assert 0 < sum(told) < ASSOCIATIONS * EACH
        for number, count in enumerate(told):
            assert sum(one.startswith(f"{modality.STUDY}.{number + 1} ") for one in kept) >= count

        log = service.data_dir / "logs" / "dicom.log"
        while log.read_text().count(line) < times:
            time.sleep(0.1)
        senders = [start_sending(folder, port) for folder in folders]
        assert [acknowledged(sender) for sender in senders] == [EACH] * ASSOCIATIONS
        assert len(stored(service)) == len(set(stored(service))) == ASSOCIATIONS * EACH
        assert not [line for line in service.log_lines() if "marked" in line.lower()]
