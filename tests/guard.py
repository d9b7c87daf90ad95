"""End the processes and containers of a test run, however the run ends: killed, interrupted, out of time.

A process of its own waits for the end of the run. It finds what the run started by an environment variable that all
of it inherits, and containers by their names.
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
#: An orderly end of the whole service takes so long at most.
STOP_SECONDS = 45
ROOT = Path(__file__).resolve().parents[1]


def start() -> None:
    """Mark everything that this process starts from now on, and have it ended after this process."""
    os.environ[MARK] = uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", "tests.guard", str(os.getpid()), os.environ[MARK]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A terminal's Ctrl-C is for the run.
        start_new_session=True,
    )


def container_prefix(pid: int | None = None) -> str:
    """How the names of a run's containers begin; `pid` is the run's process, by default this one."""
    return f"pneumoqueue-test-{pid or os.getpid()}-"


def left_of(run: str) -> Iterator[psutil.Process]:
    """The processes that carry a run's mark, less this one."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == run:
                yield process
        except psutil.Error:
            continue  # ended meanwhile, or of another user


def end_processes(run: str) -> None:
    """Ask them to end, and end by force those that do not."""
    found = list(left_of(run))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, survivors = psutil.wait_procs(found, timeout=STOP_SECONDS)
    for process in {*survivors, *left_of(run)}:
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
