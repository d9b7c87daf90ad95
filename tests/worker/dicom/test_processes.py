"""The listener's processes: what one holds that dies comes back, and none is left that would hold the port."""

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
    """The parent of two processes, and its port."""
    shutil.copy(database.made(), tmp_path / "db.sqlite3")
    [port] = free_ports(1)
    surroundings = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "DICOM_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "worker.dicom"], cwd=ROOT, env=surroundings)
    parent = psutil.Process(process.pid)
    wait_until(lambda: len(parent.children()) == 2, 60)
    yield parent, port
    process.kill()
    process.wait()


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def suspend(process: psutil.Process) -> None:
    """Stop a process. Where the processors are busy it runs on for a while, and might take a connection."""
    process.suspend()
    threads = [psutil.Process(thread.id) for thread in process.threads()]
    wait_until(lambda: all(thread.status() == psutil.STATUS_STOPPED for thread in threads))


def answer(port: int) -> tuple[int, int, int] | None:
    """Why a stranger is rejected; None without an answer."""
    with modality.connected(port) as association:
        return modality.rejection(association)


def test_of_two_processes_one_takes_over_and_both_end_with_their_parent(listener: tuple[psutil.Process, int]) -> None:
    parent, port = listener
    first, second = parent.children()
    suspend(first)
    assert answer(port) == UNKNOWN_CALLING
    second.kill()
    wait_until(lambda: len({one.pid for one in parent.children()} - {first.pid, second.pid}) == 1)
    assert answer(port) == UNKNOWN_CALLING
    first.resume()
    children = parent.children()
    parent.kill()
    _, left = psutil.wait_procs(children, 20)
    assert not left


@pytest.mark.long
def test_told_to_stop_it_stops(listener: tuple[psutil.Process, int]) -> None:
    parent, _ = listener
    children = parent.children()
    parent.terminate()
    _, left = psutil.wait_procs([parent, *children], 20)
    assert not left
