"""Independent tus clients upload a large ZIP although the web process is killed and the connection breaks.

``RESUMABLE_MB=2000`` sends 2000 megabytes instead of 120.
"""

import hashlib
import http.client
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from tests import clients, synthetic
from tests.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]

MB = 2**20
SIZE = int(os.environ.get("RESUMABLE_MB", "120")) * MB
#: Bytes of each image in the ZIP: a small X-ray, followed by bytes that no decoder reads.
IMAGE = 40 * MB
VERSION = {"Tus-Resumable": "1.0.0"}
#: Package of the npm registry.
TUS_JS = "tus-js-client@4.3.1"


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, set[str]]:
    """A ZIP of images that cannot be compressed, and the images' hashes."""
    path, hashes = tmp_path / "ward.zip", set()
    noise = os.urandom(IMAGE)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(SIZE // IMAGE):
            image = synthetic.xray_jpeg(number) + noise[number:]
            archive.writestr(f"{number}.jpeg", image)
            hashes.add(hashlib.sha256(image).hexdigest())
    return path, hashes


def web_workers(service: Service) -> list:
    return [child for parent in service.named("gunicorn")[:1] for child in parent.children()]


def kill_web(service: Service) -> None:
    for process in web_workers(service):
        process.kill()


def offset(api: httpx.Client, url: str) -> int:
    """The number of bytes that the service has received; wait until it answers."""
    for _ in range(200):
        try:
            answer = api.head(url, headers=VERSION)
            if answer.status_code == 200:
                return int(answer.headers["Upload-Offset"])
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(url)


def parts(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while part := file.read(MB):
            yield part


def send_rest(
    service: Service,
    headers: dict[str, str],
    url: str,
    path: Path,
    start: int,
    cut_at: int,
    interrupt: Callable[[], None],
) -> None:
    """Send all missing bytes with one PATCH, but interrupt it after byte `cut_at`."""
    length = path.stat().st_size - start
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    connection.putrequest("PATCH", urlsplit(url).path)
    patch_headers = {
        "Upload-Offset": start,
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": length,
    }
    for name, value in {**headers, **VERSION, **patch_headers}.items():
        connection.putheader(name, str(value))
    connection.endheaders()
    sent = start
    try:
        for part in parts(path, start):
            connection.send(part)
            sent += len(part)
            if sent > cut_at:
                interrupt()
                break
    except OSError:
        pass
    finally:
        connection.close()


def test_an_upload_survives_three_interruptions(service: Service, packed: tuple[Path, set[str]]) -> None:
    path, hashes = packed
    size = path.stat().st_size
    headers = {"Authorization": f"Token {clients.token(service)}"}
    client = TusClient(f"{service.url}/api/v1/uploads/", headers=headers)
    uploader = client.uploader(
        str(path),
        chunk_size=4 * MB,
        retries=8,
        retry_delay=2,
        metadata={"filename": "ward.zip", "study_name": "ward 3"},
    )
    started = time.monotonic()
    with clients.client(service, headers=headers) as api:
        # The web process is killed between two requests.
        uploader.upload(stop_at=size // 5)
        kill_web(service)
        assert offset(api, uploader.url) == uploader.offset
        # It is killed during a request: at most the bytes not yet synced to disk are lost.
        send_rest(service, headers, uploader.url, path, uploader.offset, size // 2, lambda: kill_web(service))
        second = offset(api, uploader.url)
        assert size // 2 - 40 * MB <= second <= size // 2 + 2 * MB
        # The client disconnects during a request.
        send_rest(service, headers, uploader.url, path, second, size * 4 // 5, lambda: None)
        time.sleep(1)
        third = offset(api, uploader.url)
        assert third > second
        for _ in range(10):  # the web process may still be writing the received bytes
            try:
                client.uploader(str(path), url=uploader.url, chunk_size=16 * MB).upload()
                break
            except TusCommunicationError:
                time.sleep(1)
        seconds = time.monotonic() - started
        status = api.get(uploader.url).json()
        assert (status["state"], status["offset"]) == ("finished", size)
        study = api.get(status["study_url"]).json()
        assert (study["name"], study["total"]) == ("ward 3", len(hashes))
        clients.wait_final(api, status["study_url"], seconds=600)
        images = api.get(study["images_url"], params={"page_size": 100}).json()["results"]
        assert {image["sha256"] for image in images} == hashes
        api.delete(status["study_url"])
    name = uploader.url.rstrip("/").rpartition("/")[2]
    assert not list((service.data_dir / "resumable").glob(f"{name}*"))
    print(f"{size / MB:.0f} MB in {seconds:.0f} s: {size / MB / seconds:.0f} MB/s with three interruptions")


@pytest.fixture
def tus_js(tmp_path: Path) -> Callable[..., str]:
    """A function that runs :file:`tus_client.cjs` and returns its output."""
    folder = tmp_path / "tus"
    folder.mkdir()
    if not shutil.which("npm"):
        pytest.skip("no npm")
    installed = subprocess.run(["npm", "install", "--no-audit", "--no-fund", TUS_JS], cwd=folder, capture_output=True)
    if installed.returncode:
        pytest.skip(f"npm cannot install {TUS_JS}")

    def run(*arguments: str) -> str:
        command = ["node", str(Path(__file__).with_name("tus_client.cjs")), *arguments]
        environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
        return subprocess.check_output(command, env=environment, text=True).strip()

    return run


def test_tus_js_client_resumes_an_upload_in_another_process(
    service: Service, packed: tuple[Path, set[str]], tus_js: Callable[..., str]
) -> None:
    path, hashes = packed
    token = clients.token(service)
    arguments = (f"{service.url}/api/v1/uploads/", token, str(path))
    url = tus_js(*arguments, str(path.stat().st_size // 2))
    with clients.client(service, headers={"Authorization": f"Token {token}"}) as api:
        assert api.get(url).json()["state"] == "receiving"
        assert tus_js(*arguments) == url
        status = api.get(url).json()
        study = api.get(status["study_url"]).json()
        assert (study["name"], study["total"]) == ("ward 4", len(hashes))
        api.delete(status["study_url"])
