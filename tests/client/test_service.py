"""The client with the whole service: used by a script, killed during an upload, and watching a folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import clients, synthetic
from tests.service import ROOT, Service

pytestmark = pytest.mark.integration
TINY = [synthetic.xray_jpeg(seed, (80, 80)) for seed in range(5)]


@pytest.fixture
def environment(service: Service, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "client"),
        "XDG_CONFIG_HOME": str(tmp_path / "home"),
        "PNEUMOQUEUE_URL": service.url,
        "PNEUMOQUEUE_TOKEN": clients.token(service),
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pneumoqueue", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    process = start(environment, *arguments)
    printed, errors = process.communicate(timeout=600)
    assert process.returncode == code, errors
    return printed


def make_files(folder: Path, number: int) -> list[str]:
    """Create a folder of files that all have different bytes. Return their names."""
    folder.mkdir()
    names = [f"{n:05}.jpg" for n in range(number)]
    for n, name in enumerate(names):
        comment = b"%06d" % n
        content = TINY[n % 5]
        (folder / name).write_bytes(content[:2] + b"\xff\xfe\x00\x08" + comment + content[2:])
    return names


def stored_names(service: Service, study: str) -> Counter[str]:
    with clients.admin(service) as client:
        found: Counter[str] = Counter()
        url = f"/api/v1/studies/{study}/images/?page_size=500"
        while url:
            page = client.get(url).json()
            found.update(image["filename"] for image in page["results"])
            url = page["next"]
        return found


@pytest.mark.long
def test_a_study_can_be_managed_from_the_command_line(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["PNEUMOQUEUE_TOKEN"], environment["PNEUMOQUEUE_URL"]
    login = subprocess.run(
        [sys.executable, "-m", "pneumoqueue", "login", service.url, "--username", "admin", "--password-stdin"],
        env=environment, input=f"{service.admin_password}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert login.returncode == 0, login.stderr
    ward = tmp_path / "ward"
    ward.mkdir()
    (ward / "one.jpg").write_bytes(synthetic.xray_jpeg(1))
    (ward / "notes.txt").write_text("no image")
    (ward / "more.zip").write_bytes(synthetic.zip_of({"two.jpg": TINY[1], "three.jpg": TINY[2]}))
    study = run(environment, "upload", str(ward), "--patient", "P-7", "--wait", code=1).strip()
    assert stored_names(service, study) == Counter(["one.jpg", "notes.txt", "two.jpg", "three.jpg"])
    document: dict[str, Any] = json.loads(run(environment, "status", study, "--json"))
    assert (document["name"], document["patient"], document["status"]) == ("ward", "P-7", "finished")
    assert document["counts"]["succeeded"] == 3
    table = run(environment, "results", study)
    assert table.splitlines()[0].startswith("\ufeffrow,filename")
    images = json.loads(run(environment, "results", study, "--json"))
    assert {image["filename"]: image["status"] for image in images}["notes.txt"] == "failed"
    assert study in run(environment, "status")
    run(environment, "delete", study, "--yes")
    run(environment, "status", study, code=5)
    run(environment, "logout")
    run(environment, "status", code=3)


@pytest.mark.parametrize(
    ("number", "kills"),
    [pytest.param(60, 3, marks=pytest.mark.long), pytest.param(1000, 12, marks=pytest.mark.chaos)],
    ids=["60", "1000"],
)
def test_each_file_is_stored_once_after_kills_and_restarts(
    service: Service, environment: dict[str, str], tmp_path: Path, number: int, kills: int
) -> None:
    ward = tmp_path / f"ward-of-{number}"
    names = make_files(ward, number)
    part = str(max(5, number // 40))
    killed = 0
    for _ in range(kills):
        process = start(environment, "upload", str(ward), "--part-files", part)
        journals = tmp_path / "home" / "pneumoqueue" / "sent"
        _until_a_journal_changes(journals)
        time.sleep(0.02 + 0.05 * killed)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
    assert killed >= 2, "the client mostly finished before it was killed"
    study = run(environment, "upload", str(ward), "--part-files", part).strip()
    assert stored_names(service, study) == Counter(names)
    with clients.admin(service) as client:
        studies = client.get("/api/v1/studies/", params={"search": ward.name}).json()["results"]
        assert [one["id"] for one in studies] == [study]
        client.post(f"/api/v1/studies/{study}/cancel/")


def _until_a_journal_changes(journals: Path) -> None:
    """Wait until the journal of an upload is being written."""
    before = {file: file.stat().st_mtime_ns for file in journals.glob("*.sqlite3")}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any(before.get(file) != file.stat().st_mtime_ns for file in journals.glob("*.sqlite3")):
            return
        time.sleep(0.005)


@pytest.mark.long
def test_a_watched_folder_sends_each_file_once(service: Service, environment: dict[str, str], tmp_path: Path) -> None:
    inbox, patient = tmp_path / "inbox", f"watched-{time.time_ns()}"
    names = make_files(inbox, 12)
    (inbox / "notes.txt").write_text("no image")
    options = ("watch", str(inbox), "--settle", "0.2", "--interval", "0.1", "--patient", patient)
    process = start(environment, *options)
    _until(lambda: len(list(inbox.glob("sent/*"))) >= 3)
    process.kill()
    process.communicate()
    late = tmp_path / "late.jpg"
    late.write_bytes(synthetic.xray_jpeg(9, (90, 90)))
    again = start(environment, *options)
    shutil.copy(late, inbox / "late.jpg")
    _until(lambda: len(list(inbox.glob("sent/*"))) == 13 and (inbox / "refused" / "notes.txt.txt").exists())
    again.send_signal(signal.SIGTERM)
    assert again.wait(20) == 0
    again.communicate()
    assert (inbox / "refused" / "notes.txt.txt").read_text().endswith("(not_an_image)\n")
    with clients.admin(service) as client:
        listed = client.get("/api/v1/images/", params={"patient": patient, "page_size": 100}).json()["results"]
    assert sorted(image["filename"] for image in listed) == sorted([*names, "late.jpg"])


def _until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)
