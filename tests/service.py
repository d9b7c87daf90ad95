"""Runs the whole service as `make run` starts it, in a separate folder and on separate ports."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests import database

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = int(os.environ.get("READY_SECONDS") or 240)  # a busy machine needs more


def bundle() -> Path:
    """The model bundle that the service under test uses."""
    if path := os.environ.get("MODEL_BUNDLE"):
        return Path(path)
    return max((ROOT / "models").glob("*/bundle.json")).parent


@dataclass
class Service:
    """A running service.

    Attributes:
        url: URL of the web process, without a slash at the end.
        flower_url: URL of Flower.
        admin_password: password of the user `admin`.
        data_dir: its DATA_DIR.
        lines: all lines that the launcher has printed so far.
        process: the launcher.
        metrics_ports: ports where the workers serve their own metrics, if they do.
    """

    url: str
    flower_url: str
    admin_password: str
    data_dir: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list, repr=False)
    metrics_ports: tuple[int, ...] = ()

    def wait_ready(self, since: int = 0) -> float:
        """Wait for `ready http://…` after line number `since`; return the seconds that it took."""
        started = time.monotonic()
        while time.monotonic() - started < READY_SECONDS:
            if any(line.startswith("ready http") for line in self.lines[since:]):
                return time.monotonic() - started
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("the service did not become ready:\n" + "\n".join([*self.log_lines()[-60:], *self.lines]))

    def named(self, pattern: str) -> list[psutil.Process]:
        """The service's processes whose command line matches, parents before children."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if re.search(pattern, " ".join(process.cmdline())):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda process: process.create_time())  # process ids are reused

    def infer_parent(self) -> psutil.Process:
        return self.named(r"--hostname=infer@")[0]

    def infer_child(self) -> psutil.Process:
        return self.infer_parent().children()[0]

    def redis(self) -> psutil.Process:
        return self.named(r"redis-server")[0]

    def log_lines(self) -> list[str]:
        """All lines of its programs' logs, one program after the other."""
        files = sorted((self.data_dir / "logs").glob("*.log"))
        return [line for file in files for line in file.read_text(errors="replace").splitlines()]

    def flower_password(self) -> str:
        return (self.data_dir / "secrets" / "flower").read_text().strip()


@contextmanager
def running(data_dir: Path, **environment: str) -> Iterator[Service]:
    """Start the service, wait until it is ready, and stop it at the end.

    Raises:
        RuntimeError: it ended, or was not ready in time. The message holds its output and the end of its logs.
    """
    with launched(data_dir, **environment) as service:
        service.wait_ready()
        yield service


@contextmanager
def launched(data_dir: Path, **environment: str) -> Iterator[Service]:
    """Start the service without waiting, and stop it at the end.

    A folder without a database first gets one with all tables.
    """
    file = data_dir / "db.sqlite3"
    if not file.exists() and "DATABASE_URL" not in {*os.environ, *environment}:
        data_dir.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file)) as connection:
            database.copy(connection)
    port, flower_port = free_ports(2)
    password = "an-admin-for-tests"
    process = subprocess.Popen(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "PORT": str(port),
            "FLOWER_PORT": str(flower_port),
            "DATA_DIR": str(data_dir),
            "ADMIN_PASSWORD": password,
            # With an engine set, the start does not measure engines.
            "ENGINE": os.environ.get("ENGINE", "mnn"),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    service = Service(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{flower_port}", password, data_dir, process)
    reader = threading.Thread(target=_collect, args=(process, service.lines), daemon=True)
    reader.start()
    try:
        yield service
    finally:
        processes = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        for descendant in processes:
            if descendant.is_running():
                descendant.kill()
        reader.join(10)  # afterwards `lines` holds its last lines too


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout
    lines.extend(line.rstrip("\n") for line in process.stdout)


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
