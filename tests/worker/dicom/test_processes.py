"""The listener's processes: if one dies its places become free, and none outlives its parent and holds the port."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import database, modality
from tests.service import ROOT, free_ports
from worker.dicom.places import Places

UNKNOWN_CALLING = (1, 1, 3)


def test_processes_share_the_places(settings: Any) -> None:
    settings.DICOM_ASSOCIATIONS = 3
    places = Places(2)
    assert [places.take(), places.take()] == [True, True]
    places.process = 1
    assert [places.take(), places.take()] == [True, False]
    places.give_back()
    assert [places.take(), places.take()] == [True, False]
    places.clear(0)  # it was killed
    assert [places.take(), places.take(), places.take()] == [True, True, False]


def test_a_process_knows_whether_others_have_fewer_connections() -> None:
    places = Places(2)
    assert not places.others_have_fewer()
    places.note(1)
    assert places.others_have_fewer()
    places.process = 1
    places.note(2)
    assert places.others_have_fewer()
    places.clear(1)  # it was killed
    assert not places.others_have_fewer()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[psutil.Process, int]]:
    """The parent of two listener processes, and its port."""
    shutil.copy(database.made(), tmp_path / "db.sqlite3")
    [port] = free_ports(1)
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "DICOM_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "worker.dicom"], cwd=ROOT, env=environment)
    parent = psutil.Process(process.pid)
    wait_until(lambda: len(parent.children()) == 2, 60)
    yield parent, port
    process.kill()
    process.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def suspend(process: psutil.Process) -> None:
    """Suspend a process and wait until it stops: on a busy machine it runs on a while, and could take a connection."""
    process.suspend()
    threads = [psutil.Process(thread.id) for thread in process.threads()]
    wait_until(lambda: all(thread.status() == psutil.STATUS_STOPPED for thread in threads))


def rejection_reason(port: int) -> tuple[int, int, int] | None:
    """The reason why an unknown peer is rejected; None without an answer."""
    with modality.connected(port) as association:
        return modality.rejection(association)


def test_one_process_takes_over_and_both_end_with_their_parent(listener: tuple[psutil.Process, int]) -> None:
    parent, port = listener
    first, second = parent.children()
    suspend(first)
    assert rejection_reason(port) == UNKNOWN_CALLING
    second.kill()
    wait_until(lambda: len({one.pid for one in parent.children()} - {first.pid, second.pid}) == 1)
    assert rejection_reason(port) == UNKNOWN_CALLING
    first.resume()
    children = parent.children()
    parent.kill()
    _, left = psutil.wait_procs(children, 20)
    assert not left


@pytest.mark.long
def test_all_processes_stop_on_sigterm(listener: tuple[psutil.Process, int]) -> None:
    parent, _ = listener
    children = parent.children()
    parent.terminate()
    _, left = psutil.wait_procs([parent, *children], 20)
    assert not left
