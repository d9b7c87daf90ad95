"""Containers of the worker image, and the servers that they need."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_celery import (
    CELERY_RABBITMQ_BROKER,
    CELERY_REDIS_BROKER,
    CeleryTestBroker,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
)
from pytest_docker_tools import build, container, fxtr, network
from pytest_docker_tools.wrappers import Container

from tests.service import ROOT

#: Seconds that a test waits for its images; a worker loads TensorFlow and the model first.
SECONDS = 180

# One network for all tests, because they share the database.
default_pytest_celery_network = network(scope="session")

worker_image = build(path=str(ROOT), dockerfile="compose/Dockerfile", target="worker", tag="pneumoqueue-worker:tests")

database = container(
    image="postgres:16",
    environment={
        "POSTGRES_USER": "clinic",
        "POSTGRES_PASSWORD": "of-the-test",
        "POSTGRES_DB": "clinic",
        "LANG": "C.UTF-8",
    },
    ports={"5432/tcp": None},
    network="{default_pytest_celery_network.name}",
    scope="session",
)


@pytest.fixture(params=[CELERY_REDIS_BROKER, CELERY_RABBITMQ_BROKER])
def celery_broker(request: pytest.FixtureRequest) -> Iterator[CeleryTestBroker]:
    """The brokers that the service runs on."""
    broker: CeleryTestBroker = request.getfixturevalue(request.param)
    yield broker
    broker.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """No backend: results are in the database, and Celery stores none."""


@pytest.fixture
def default_rabbitmq_broker_env() -> dict[str, str]:
    """Log to the standard output, where pytest-celery looks for the message of a completed start."""
    return {"RABBITMQ_LOGS": "-"}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage that all containers share. It is writable for all, as the image has another user than the tests."""
    folder = tmp_path_factory.mktemp("files")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o777)
    return folder


@dataclass
class Clinic:
    """The rest of the service, next to its workers.

    Attributes:
        container: the container that runs the commands, as it has the settings and owns the files.
    """

    container: Container

    def __call__(self, *command: str) -> Any:
        """Run a command of :mod:`tests.docker.workers.clinic`."""
        status, output = self.container.exec_run(["python", "-m", "tests.docker.workers.clinic", *command], demux=True)
        out, errors = ((part or b"").decode() for part in output)
        assert status == 0, errors
        return json.loads(out.splitlines()[-1])

    def wait(self, condition: Callable[[dict[str, Any]], bool], *, reconciling: bool = False) -> dict[str, Any]:
        """Repeat the report until the condition holds, or the time is over; return the last report."""
        deadline = time.monotonic() + SECONDS
        reconciled = 0.0
        while True:
            # As often as beat does: a worker counts as gone if several reconciliations pass without a sign of it.
            if reconciling and time.monotonic() > reconciled + settings.RECONCILE_SECONDS:
                self("reconcile")
                reconciled = time.monotonic()
            report: dict[str, Any] = self("report")
            if condition(report) or time.monotonic() > deadline:
                return report
            time.sleep(1)


@pytest.fixture(scope="session")
def migrated(database: Container, files: Path) -> dict[str, str]:
    """Migrate the database; return the environment for commands outside the containers."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        "DATABASE_URL": "postgres://clinic:of-the-test@{}:{}/clinic".format(*database.get_addr("5432/tcp")),
        "DATA_DIR": str(files),
        "SECRET_KEY": "of-the-tests-in-containers",
        # So that lost work is found within the test's time.
        "RESEND_AFTER_SECONDS": "5",
    }
    deadline = time.monotonic() + 60
    while True:
        completed = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"],
            cwd=ROOT, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if completed.returncode == 0:
            return environment
        assert time.monotonic() < deadline, completed.stderr
        time.sleep(1)


@pytest.fixture
def clinic(ingest_container: Container) -> Iterator[Clinic]:
    clinic = Clinic(ingest_container)
    clinic("clear")
    yield clinic
    clinic("clear")


class ProjectsWorker(CeleryWorkerContainer):
    """A container of the worker image. It runs the command of the image or the role, and no file is copied into it."""

    @property
    def ready_prompt(self) -> str:
        return "ready."


@pytest.fixture
def worker_environment(
    migrated: dict[str, str], database: Container, celery_broker: CeleryTestBroker
) -> dict[str, str]:
    names = ("SECRET_KEY", "RESEND_AFTER_SECONDS")
    return {
        **{name: migrated[name] for name in names},
        "DATABASE_URL": f"postgres://clinic:of-the-test@{database.id[:12]}:5432/clinic",
        "BROKER_URL": celery_broker.config()["url"],
        "MAX_BATCH": "4",
    }


def _role(role: str, queues: str, *options: str) -> Any:
    """A fixture of one container."""
    return container(
        image="{worker_image.id}",
        environment=fxtr(f"{role.split('_')[0]}_environment"),
        command=["celery", "-A", "worker.app", "worker", "--events", "--without-gossip", "--without-mingle",
                 "--loglevel=INFO", f"--hostname={role}@%h", f"--queues={queues}", *options],
        network="{default_pytest_celery_network.name}",
        volumes=fxtr("worker_volumes"),
        wrapper_class=ProjectsWorker,
        timeout=SECONDS,
    )  # fmt: skip


@pytest.fixture
def worker_volumes(files: Path) -> dict[str, dict[str, str]]:
    return {str(files): {"bind": "/data", "mode": "rw"}, str(ROOT / "tests"): {"bind": "/app/tests", "mode": "ro"}}


@pytest.fixture
def ingest_environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return {**worker_environment, "PNEUMOQUEUE_ROLE": "ingest"}


@pytest.fixture
def infer_environment(worker_environment: dict[str, str]) -> dict[str, str]:
    return {**worker_environment, "PNEUMOQUEUE_ROLE": "infer"}


ingest_container = _role("ingest", "control,ingest.interactive,ingest.bulk", "--concurrency=2")
infer_container = _role("infer", "infer.interactive,infer.bulk", "--concurrency=1")
infer_second_container = _role("infer_second", "infer.interactive,infer.bulk", "--concurrency=1")


@pytest.fixture
def celery_worker_cluster(
    ingest_container: ProjectsWorker, infer_container: ProjectsWorker, infer_second_container: ProjectsWorker
) -> Iterator[CeleryWorkerCluster]:
    """One worker that prepares and two that read."""
    containers = (ingest_container, infer_container, infer_second_container)
    cluster = CeleryWorkerCluster(*[CeleryTestWorker(member, app=None) for member in containers])
    yield cluster
    cluster.teardown()
