"""Programs end when the process that started them ends."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.service import ROOT

TIED = [sys.executable, "-S", str(ROOT / "compose" / "local" / "tied.py")]
PROGRAM = [sys.executable, "-S", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
STARTER = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(60)"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent process")


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that has started PROGRAM with this prefix, and the id of PROGRAM's process; both share a pipe."""
    starter = subprocess.Popen([sys.executable, "-S", "-c", STARTER, *request.param, *PROGRAM], stdout=subprocess.PIPE)
    assert starter.stdout
    child = int(starter.stdout.readline())
    try:
        yield starter, child
    finally:
        starter.kill()
        if not ended(starter, 0):
            os.kill(child, signal.SIGKILL)
        starter.communicate(timeout=10)


def ended(starter: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether both processes have ended: then the pipe that they share has no writer."""
    assert starter.stdout
    readable, _, _ = select.select([starter.stdout], [], [], seconds)
    return bool(readable) and os.read(starter.stdout.fileno(), 1) == b""


@pytest.mark.parametrize("started", [TIED], indirect=True, ids=["tied"])
def test_a_program_ends_when_its_starter_is_killed(started: tuple[subprocess.Popen[bytes], int]) -> None:
    starter, _ = started
    assert not ended(starter, 0.2)
    starter.kill()
    assert ended(starter, 10)


@pytest.mark.parametrize("started", [[]], indirect=True, ids=["not tied"])
def test_a_program_that_is_not_tied_does_not_end(started: tuple[subprocess.Popen[bytes], int]) -> None:
    """Without tied.py the program goes on, so the test above proves something."""
    starter, _ = started
    starter.kill()
    starter.wait(10)
    assert not ended(starter, 0.5)


def test_arguments_and_exit_status_are_passed_through() -> None:
    completed = subprocess.run(
        [*TIED, sys.executable, "-S", "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", "--version", "%"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert completed.stdout.strip() == "['a b', '--version', '%']"
    assert completed.returncode == 7
