"""The rate at which DICOM images are received, compared to DCMTK's storescp and Orthanc with the same files in one run.

``pytest -m benchmark -s tests/benchmarks/test_dicom.py --basetemp=FOLDER``. The folder's disk matters, because this
service answers only after an image is synced to it; storescp and Orthanc sync nothing by default. Preparing and reading
are suspended meanwhile. PNEUMOQUEUE_BENCH_IMAGES is the number of images (100) that are sent in each way, and
PNEUMOQUEUE_BENCH_INSTANCES the number of small instances (10,000) in one study.
"""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom.uid import generate_uid

from tests import dicomweb, modality
from tests import orthanc as orthancs
from tests.service import Service, free_ports, running

#: Folder of Python, in which pynetdicom installs programs with the same names as DCMTK's.
PYTHON_FOLDER = Path(sys.prefix, "bin").resolve()
FOLDERS = [one for one in os.environ["PATH"].split(os.pathsep) if Path(one).resolve() != PYTHON_FOLDER]
DCMTK = {name: shutil.which(name, path=os.pathsep.join(FOLDERS)) or "" for name in ("storescu", "storescp", "echoscu")}
pytestmark = [
    pytest.mark.benchmark,
    orthancs.needed,
    pytest.mark.skipif(not all(DCMTK.values()), reason="DCMTK is not installed: apt-get install dcmtk"),
]
INSTANCES = int(os.environ.get("PNEUMOQUEUE_BENCH_INSTANCES", "10000"))
#: Most bytes that the web processes may grow by, for any number of instances.
GROWTH = 150 * 2**20
IMAGES = int(os.environ.get("PNEUMOQUEUE_BENCH_IMAGES", "100"))
#: Pixels of each side of an image, which has half a megabyte.
SIDE = 512
ASSOCIATIONS = (1, 4, 8)
STOW_CLIENTS, FILES_PER_REQUEST = 4, 25
#: Images that are sent in each way before the measurement.
WARM_UP = 16
DEPARTMENT = """
from django.contrib.auth.models import User
from webapp.accounts import tokens
from webapp.departments.models import Department, Membership
from webapp.dicom.models import Peer
ward = Department.objects.create(name="Ward", slug="ward")
Peer.objects.create(ae_title="SCANNER", department=ward)
user = User.objects.create_user("scanner")
Membership.objects.create(user=user, department=ward, role="uploader")
print("token", tokens.issue(user, "benchmark"))
"""


@dataclass
class Receiver:
    """A program that receives images by C-STORE at a port, and by HTTP if it supports that."""

    name: str
    port: int
    #: Used for all requests, as real senders do; creating it takes 45 ms of processor time.
    client: httpx.Client = field(default_factory=httpx.Client)
    stow: str = ""
    archive: Callable[[Path], None] | None = None
    web: list[psutil.Process] = field(default_factory=list)


def write_set(folder: Path, images: int = IMAGES) -> list[Path]:
    """Write the files of a study."""
    dataset, files = modality.image(1, side=SIDE, StudyInstanceUID=generate_uid()), []
    folder.mkdir()
    for number in range(images):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        files.append(folder / f"{number}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def c_store(receiver: Receiver, files: list[Path], associations: int) -> None:
    """Send files by several associations at once."""
    peers = ["-aet", "SCANNER", "-aec", "PNEUMOQUEUE", "127.0.0.1", str(receiver.port)]
    senders = [
        subprocess.Popen([DCMTK["storescu"], *peers, *map(str, files[number::associations])])
        for number in range(associations)
    ]
    assert [sender.wait(120) for sender in senders] == [0] * associations


def stow(receiver: Receiver, files: list[Path], per_request: int = FILES_PER_REQUEST) -> None:
    def post(batch: list[Path]) -> None:
        headers = {"Content-Type": dicomweb.TYPE, "Accept": "application/dicom+json"}
        body = dicomweb.body(*(file.read_bytes() for file in batch))
        answer = receiver.client.post(receiver.stow, content=body, headers=headers, timeout=120)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["00081199"]["Value"]) == len(batch)

    with ThreadPoolExecutor(STOW_CLIENTS) as clients:
        list(clients.map(post, (files[at : at + per_request] for at in range(0, len(files), per_request))))


def warm_up(receiver: Receiver, folder: Path) -> None:
    files = write_set(folder, 2 * WARM_UP)
    c_store(receiver, files[:WARM_UP], STOW_CLIENTS)
    if receiver.stow:
        stow(receiver, files[WARM_UP:], 1)


@contextmanager
def storescp(folder: Path) -> Iterator[Receiver]:
    folder.mkdir()
    [port] = free_ports(1)
    with _process(DCMTK["storescp"], "--fork", "-od", str(folder), str(port)):
        _wait_for_port(port)
        yield Receiver("storescp", port)


@contextmanager
def orthanc(folder: Path) -> Iterator[Receiver]:
    folder.mkdir()
    with orthancs.running(folder) as running:

        def archive(file: Path) -> None:
            running.client.post("/instances", content=file.read_bytes(), timeout=120).raise_for_status()

        yield Receiver("Orthanc", running.port, running.client, f"{running.client.base_url}/dicom-web/studies", archive)


@contextmanager
def ours(folder: Path) -> Iterator[Receiver]:
    [port] = free_ports(1)
    with ExitStack() as stack:
        service = stack.enter_context(running(folder, DICOM_PORT=str(port), USER_RATE="100000/min"))
        completed = subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", DEPARTMENT],
            capture_output=True, text=True, check=True, env=_environment(service),
        )  # fmt: skip
        token = completed.stdout.split("token ")[-1].strip()
        client = stack.enter_context(httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=300))

        def archive(file: Path) -> None:
            with file.open("rb") as stream:
                answer = client.post(f"{service.url}/api/v1/studies/", files={"files": (file.name, stream)})
            assert answer.status_code == 202, answer.text

        workers = service.named(r"celery.* worker")
        for worker in workers:
            worker.suspend()
        web = service.named("gunicorn")
        yield Receiver("PneumoQueue", port, client, f"{service.url}/dicomweb/studies", archive, web)
        for worker in workers:
            worker.resume()


def _environment(service: Service) -> dict[str, str]:
    return {**os.environ, "DATA_DIR": str(service.data_dir), "DJANGO_SETTINGS_MODULE": "webapp.config.settings"}


@contextmanager
def _process(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_port(port: int) -> None:
    for _ in range(100):
        if subprocess.run([DCMTK["echoscu"], "127.0.0.1", str(port)], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


def test_throughput_compared_to_others(tmp_path: Path) -> None:
    rates: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        receivers = [stack.enter_context(one(tmp_path / one.__name__)) for one in (storescp, orthanc, ours)]
        for receiver in receivers:
            warm_up(receiver, tmp_path / f"first-{receiver.name}")
        for number, method in enumerate([*(f"C-STORE, {count}" for count in ASSOCIATIONS), "STOW-RS", "ZIP accepted"]):
            files = write_set(tmp_path / f"set{number}")
            packed = tmp_path / f"set{number}.zip"
            if method == "ZIP accepted":
                with zipfile.ZipFile(packed, "w") as archive:
                    for one in files:
                        archive.write(one, one.name)
            for receiver in receivers:
                started = time.perf_counter()
                if method.startswith("C-STORE"):
                    c_store(receiver, files, int(method.rpartition(" ")[2]))
                elif method == "STOW-RS" and receiver.stow:
                    stow(receiver, files)
                elif method == "ZIP accepted" and receiver.archive:
                    receiver.archive(packed)
                else:
                    continue
                rates.setdefault(method, {})[receiver.name] = IMAGES / (time.perf_counter() - started)
            shutil.rmtree(tmp_path / f"set{number}")
    print(
        "\n| images a second | storescp | Orthanc | PneumoQueue | of storescp | of Orthanc |\n|---|---|---|---|---|---|"
    )
    for method, by_receiver in rates.items():
        own, scp, other = by_receiver["PneumoQueue"], by_receiver.get("storescp"), by_receiver["Orthanc"]
        columns = f"{scp:.0f} | {other:.0f} | {own:.0f} | {own / scp:.2f}" if scp else f"| {other:.0f} | {own:.0f} |"
        print(f"| {method} | {columns} | {own / other:.2f} |")
    assert all(by_receiver["PneumoQueue"] > 0 for by_receiver in rates.values())


def test_a_study_with_many_instances_needs_no_more_memory(tmp_path: Path) -> None:
    dataset = modality.image(1, side=16, StudyInstanceUID=generate_uid())
    with ours(tmp_path / "ours") as receiver:
        client, started = receiver.client, time.perf_counter()
        memory = []
        for at in range(0, INSTANCES, 500):
            files = []
            for _ in range(min(500, INSTANCES - at)):
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
                files.append(dicomweb.file(dataset))
            headers = {"Content-Type": dicomweb.TYPE}
            answer = client.post(receiver.stow, content=dicomweb.body(*files), headers=headers)
            assert answer.status_code == 200, answer.text
            memory.append(_resident(receiver))
        stored = time.perf_counter() - started
        uids = set()
        for offset in range(0, INSTANCES, 1000):
            query = f"limit=1000&offset={offset}"
            page = client.get(f"{receiver.stow}/{dataset.StudyInstanceUID}/instances?{query}")
            uids |= {row["00080018"]["Value"][0] for row in page.json()}
            memory.append(_resident(receiver))
        searched = time.perf_counter() - started - stored
        size = 0
        with client.stream("GET", f"{receiver.stow}/{dataset.StudyInstanceUID}") as answer:
            for number, block in enumerate(answer.iter_bytes()):
                size += len(block)
                if number % 100 == 0:
                    memory.append(_resident(receiver))
        print(
            f"\n{INSTANCES} instances: stored in {stored:.0f} s, listed in {searched:.1f} s, {size / 2**20:.0f} MB "
            f"retrieved; web processes: {memory[0] / 2**20:.0f} MB at first, {max(memory) / 2**20:.0f} MB at most"
        )
        assert len(uids) == INSTANCES
        assert size > INSTANCES * 16 * 16 * 2
        assert max(memory) - memory[0] < GROWTH


def _resident(receiver: Receiver) -> int:
    return sum(process.memory_info().rss for process in receiver.web)
