"""Bodies of STOW-RS requests, and images after a worker has stored their files' attributes."""

import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from pydicom import Dataset

from ml.pictures import dicom
from webapp.config.asgi import application
from webapp.dicom.services import uploaded
from webapp.studies.models import Image

BOUNDARY = "a boundary: it's quoted"
TYPE = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


@contextmanager
def served() -> Iterator[str]:
    """Serve the web application at a local port with the service's own server; yield its URL."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def file(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def body(*files: bytes, kind: str = "application/dicom") -> bytes:
    parts = (f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + content + b"\r\n" for content in files)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def store(client: Any, content: bytes, path: str = "/dicomweb/studies", kind: str = TYPE, **headers: str) -> Any:
    return client.post(path, content, content_type=kind, headers={"Accept": "application/dicom+json", **headers})


def describe(images: Sequence[Image]) -> None:
    """Store the files' attributes, as preparing does before it decodes."""
    for image in images:
        with image.file.open("rb") as stored:
            uploaded.describe(image, dicom.attributes_of(dicom.parse(stored.read(), pixels=False)))


def uids(answer: Any, tag: str = "00081199") -> list[str]:
    """The instance UIDs in one sequence of a Store Instances Response."""
    return [item["00081155"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]


def warnings(answer: Any) -> list[int]:
    """The Warning Reason of each stored instance in a Store Instances Response; 0 if there is none."""
    stored = answer.json().get("00081199", {}).get("Value", [])
    return [item["00081196"]["Value"][0] if "00081196" in item else 0 for item in stored]


def reasons(answer: Any, tag: str = "00081198") -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json().get(tag, {}).get("Value", [])]
