"""Orthanc, an independent PACS, as Debian packages it."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import free_ports

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needed = pytest.mark.skipif(
    not (shutil.which("Orthanc") and DICOMWEB.exists()),
    reason="Orthanc is not installed: apt-get install orthanc orthanc-dicomweb",
)


@dataclass
class Orthanc:
    """A running Orthanc: a client of its HTTP interface, and its DICOM port."""

    client: httpx.Client
    port: int


@contextmanager
def running(folder: Path, auth: tuple[str, str] | None = None, **settings: Any) -> Iterator[Orthanc]:
    """Run an Orthanc with DICOMweb.

    Args:
        folder: where it stores its files.
        auth: name and password of its only user.
        settings: further settings of its configuration.
    """
    http, dicom = free_ports(2)
    configuration = {
        "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"), "HttpPort": http,
        "DicomPort": dicom, "DicomCheckCalledAet": False, "RemoteAccessAllowed": False, "Plugins": [str(DICOMWEB)],
        "AuthenticationEnabled": bool(auth), "RegisteredUsers": dict([auth] if auth else []), **settings,
    }  # fmt: skip
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60, auth=auth) as client:
            _wait_for(client)
            yield Orthanc(client, dicom)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            if client.get("/system").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("Orthanc does not answer")
