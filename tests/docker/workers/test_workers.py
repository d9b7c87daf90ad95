"""Several workers of the project's image, on each broker: work is shared, and nothing is lost or done twice."""

from typing import Any

import pytest
from pytest_celery import CeleryTestSetup, CeleryTestWorker, CeleryWorkerCluster

from tests.docker.workers.conftest import PREVIOUS_VERSION, Clinic
from webapp.config import settings

pytestmark = pytest.mark.docker

IMAGES = 40


def all_read(report: dict[str, Any]) -> bool:
    return bool(report["statuses"] == {"succeeded": IMAGES})


def read_by(worker: CeleryTestWorker) -> int:
    return worker.logs().count(" read in a batch of ")


def prepared_by(worker: CeleryTestWorker) -> int:
    return worker.logs().count(" prepared")


def release_of(worker: CeleryTestWorker) -> str:
    status, said = worker.container.exec_run(
        ["python", "-c", "from webapp.config import settings as s; print(s.VERSION)"]
    )
    assert status == 0
    return str(said.decode().split()[-1])


def assert_each_once(report: dict[str, Any]) -> None:
    assert report["statuses"] == {"succeeded": IMAGES}
    assert report["predictions"] == IMAGES
    assert report["errors"] == {}


def test_two_workers_share_the_work(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    clinic("upload", str(IMAGES))
    assert_each_once(clinic.wait(all_read))
    _, first, second = celery_setup.worker_cluster
    assert read_by(first) > 0
    assert read_by(second) > 0


def test_a_killed_worker_loses_nothing(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    clinic("upload", str(IMAGES))
    clinic.wait(lambda report: report["predictions"] > 0)
    celery_setup.worker_cluster[1].kill()
    assert_each_once(clinic.wait(all_read, reconciling=True))


def test_a_restarted_broker_loses_nothing(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    """It comes back empty: neither broker is told here to keep what it has."""
    clinic("upload", str(IMAGES))
    clinic.wait(lambda report: report["predictions"] > 0)
    celery_setup.broker.restart()
    assert_each_once(clinic.wait(all_read, reconciling=True))


def test_a_worker_of_the_last_release_works_beside_a_new_one(two_releases: CeleryWorkerCluster, clinic: Clinic) -> None:
    """Each understands the other's messages, rows and files: both kinds of workers of both releases get their share."""
    ingest, infer, ingest_previous, infer_previous = two_releases
    assert {release_of(worker) for worker in (ingest, infer)} == {settings.VERSION}
    assert {release_of(worker) for worker in (ingest_previous, infer_previous)} == {PREVIOUS_VERSION}
    clinic("upload", str(IMAGES))
    assert_each_once(clinic.wait(all_read))
    for preparing in (ingest, ingest_previous):
        assert prepared_by(preparing) > 0
    for reading in (infer, infer_previous):
        assert read_by(reading) > 0
    for worker in two_releases:
        assert "Traceback" not in worker.logs()
