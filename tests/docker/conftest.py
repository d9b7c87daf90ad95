"""The whole stack in containers, started once for all tests of this folder and removed after them."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import docker as engine
import pytest

from compose.local.resources import free_port
from tests import guard

ROOT = Path(__file__).resolve().parents[2]
#: Seconds until all containers are healthy; a slow machine loads TensorFlow for a minute.
START_SECONDS = 600
#: Services that keep running; migrate ends.
SERVICES = (
    "proxy",
    "web",
    "worker-infer",
    "worker-ingest",
    "worker-bulk",
    "worker-deliver",
    "beat",
    "flower",
    "db",
    "redis",
)


@cache
def engine_missing() -> str:
    """The reason why no container can be started; empty if one can."""
    try:
        engine.from_env().ping()
    except engine.errors.DockerException as error:
        return f"no container engine: {error}"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip before fixtures are set up: without an engine those of pytest-celery fail instead of skipping."""
    in_containers = [item for item in items if item.get_closest_marker("docker")]
    if in_containers and (reason := engine_missing()):
        for item in in_containers:
            item.add_marker(pytest.mark.skip(reason=reason))


def compose_command() -> list[str]:
    """The command of docker-compose or its successor in Docker. Even with an engine it may not be installed."""
    if not shutil.which("docker"):
        pytest.skip("there is no docker command")
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is neither docker-compose nor `docker compose`")
    return ["docker", "compose"]


def docker(*arguments: str) -> str:
    completed = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


@dataclass
class Stack:
    """A project of docker-compose.

    Attributes:
        command: the docker-compose command with its options.
        environment: environment of that command, with the variables of docker-compose.yml.
        start_seconds: seconds from the start of each service's container to its first successful health check.
    """

    command: list[str]
    environment: dict[str, str]
    url: str
    admin_password: str
    start_seconds: dict[str, float] = field(default_factory=dict)

    def compose(self, *arguments: str, check: bool = True) -> str:
        completed = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
        return completed.stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def health(self, container: str) -> str:
        state: dict[str, Any] = json.loads(docker("inspect", "--format={{json .State}}", container))
        return str(state["Health"]["Status"] if state["Running"] else state["Status"])

    def seconds_to_health(self, container: str) -> float:
        """Seconds from a container's start to the first successful health check that its log still has."""
        state = json.loads(docker("inspect", "--format={{json .State}}", container))
        passed = [entry["End"] for entry in state["Health"]["Log"] if entry["ExitCode"] == 0]
        return (_time(passed[0]) - _time(state["StartedAt"])).total_seconds()

    def wait_until_healthy(self, *services: str, seconds: float = START_SECONDS) -> None:
        """Wait until all containers of these services, by default of all services, are healthy."""
        started = time.monotonic()
        waiting = set(services or SERVICES)
        while waiting:
            for service in sorted(waiting):
                found = self.containers(service)
                if found and all(self.health(container) == "healthy" for container in found):
                    self.start_seconds[service] = max(map(self.seconds_to_health, found))
                    waiting.discard(service)
            assert time.monotonic() - started < seconds, (
                f"not healthy: {waiting}\n{self.compose('logs', '--tail=20', *waiting)}"
            )
            time.sleep(1)

    def manage(self, code: str) -> str:
        """The output of a line of Python in Django's shell in the running web container."""
        completed = self.compose("exec", "-T", "web", "python", "manage.py", "shell", "--no-imports", "-c", code)
        return completed.strip().splitlines()[-1]


def _time(text: str) -> datetime:
    """Parse a time of Docker, which has more digits after the second than Python reads."""
    return datetime.fromisoformat(text[:26] + "+00:00")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run the stack as `make env` and docker-compose do, on a free port and with a name of its own."""
    command = compose_command()
    folder = tmp_path_factory.mktemp("stack")
    (folder / "compose").mkdir()
    shutil.copy(ROOT / "compose" / "make-env.sh", folder / "compose")
    shutil.copy(ROOT / ".env.example", folder)
    subprocess.run(["sh", str(folder / "compose" / "make-env.sh")], check=True, capture_output=True)
    secrets = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (folder / ".env").read_text(), re.MULTILINE))
    port = free_port()
    stack = Stack(
        [*command, "--project-name", f"{guard.container_prefix()}stack", "--env-file", str(folder / ".env")],
        {
            **{name: value for name, value in os.environ.items() if name not in secrets},
            "HTTP_PORT": f"127.0.0.1:{port}",
            "LOGIN_RATE": "100000/min",
            # A storage driver without layers copies the whole image for each container.
            "COMPOSE_HTTP_TIMEOUT": "600",
        },
        f"http://127.0.0.1:{port}",
        secrets["ADMIN_PASSWORD"],
    )
    try:
        stack.compose("build")
        stack.compose("up", "-d")
        stack.wait_until_healthy()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout=20", check=False)
