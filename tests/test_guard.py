"""A test run that is killed or interrupted leaves nothing running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import guard
from tests.service import ROOT

#: A test that starts a process, which starts another one; both would run for minutes.
SLEEPERS = """
import subprocess, sys, time
from pathlib import Path

def test_that_is_ended():
    chain = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(300)'])"
    child = subprocess.Popen([sys.executable, "-c", chain], start_new_session=True)
    time.sleep(1)
    Path({started!r}).write_text(str(child.pid))
    time.sleep(300)
"""
#: A test that waits for the service to be ready.
SERVICE = """
from pathlib import Path

import pytest

from tests.service import launched

def test_that_is_ended(tmp_path):
    with launched(tmp_path / "data") as service:
        Path({started!r}).write_text(str(service.process.pid))
        service.wait_ready()
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], tuple[subprocess.Popen[bytes], psutil.Process]]:
    """Run pytest on the text of a test; return the run, and the process that the test has started."""

    def start(text: str) -> tuple[subprocess.Popen[bytes], psutil.Process]:
        started = tmp_path / "started"
        file = tmp_path / "test_inner.py"
        file.write_text(text.format(started=str(started)))
        pytest_run = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(ROOT),
             "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "--confcutdir", str(tmp_path), str(file)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            # Shells let background processes ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        until(started.exists)
        return pytest_run, psutil.Process(int(started.read_text()))

    return start


def until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, marks=pytest.mark.long) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)],
    ids=lambda number: number.name,
)
def test_processes_of_a_test_end_with_the_run(run: Callable[..., tuple], number: signal.Signals) -> None:
    pytest_run, child = run(SLEEPERS)
    processes = [child, *child.children(recursive=True)]
    assert len(processes) == 2
    pytest_run.send_signal(number)
    pytest_run.wait(120)
    until(lambda: gone(processes))


@pytest.mark.integration
@pytest.mark.maintenance
def test_the_whole_service_ends_with_the_run(run: Callable[..., tuple]) -> None:
    pytest_run, launcher = run(SERVICE)

    def family() -> list[psutil.Process]:
        return [launcher, *launcher.children(recursive=True)]

    until(lambda: len(family()) > 8)  # supervisord and its programs
    processes = family()
    pytest_run.kill()
    pytest_run.wait(120)
    until(lambda: gone(processes), guard.STOP_SECONDS + 15)
