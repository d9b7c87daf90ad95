"""End the processes and containers of a test run, however the run ends: killed, interrupted or timed out.

A separate process waits for the end of the run. It finds the run's processes by an environment variable that they
inherit, and its containers by their names.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil

MARK = "PNEUMOQUEUE_TEST_RUN"
#: Most seconds that an orderly end of the whole service takes.
STOP_SECONDS = 45
ROOT = Path(__file__).resolve().parents[1]


def start() -> None:
    """Mark all processes that this one starts from now on, so that they are ended after it."""
    os.environ[MARK] = uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", "tests.guard", str(os.getpid()), os.environ[MARK]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the terminal must reach only the run.
        start_new_session=True,
    )


def container_prefix(pid: int | None = None) -> str:
    """The first part of the names of a run's containers; `pid` is the run's process, by default this one."""
    return f"pneumoqueue-test-{pid or os.getpid()}-"


def processes_of(run: str) -> Iterator[psutil.Process]:
    """The processes that carry a run's mark, except this one."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == run:
                yield process
        except psutil.Error:
            continue  # it has ended, or belongs to another user


def end_processes(run: str) -> None:
    """Ask the run's processes to end, and kill those that do not."""
    found = list(processes_of(run))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, survivors = psutil.wait_procs(found, timeout=STOP_SECONDS)
    for process in {*survivors, *processes_of(run)}:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def end_containers(pid: int) -> None:
    if not shutil.which("docker"):
        return
    for kind, remove in (
        ("container ls --all", "container rm --force --volumes"),
        ("network ls", "network rm"),
        ("volume ls", "volume rm"),
    ):
        listed = subprocess.run(
            ["docker", *kind.split(), "--quiet", "--filter", f"name={container_prefix(pid)}"],
            capture_output=True, text=True,
        )  # fmt: skip
        if found := listed.stdout.split():
            subprocess.run(["docker", *remove.split(), *found])


if __name__ == "__main__":
    watched, mark = int(sys.argv[1]), sys.argv[2]
    with suppress(psutil.NoSuchProcess):
        psutil.Process(watched).wait()
    end_processes(mark)
    end_containers(watched)
