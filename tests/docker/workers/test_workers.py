"""Several workers of the project's image with each broker share the work, lose nothing and do nothing twice."""

from typing import Any

import pytest
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tests.docker.workers.conftest import Clinic

pytestmark = pytest.mark.docker

IMAGES = 40


def all_read(report: dict[str, Any]) -> bool:
    return bool(report["statuses"] == {"succeeded": IMAGES})


def read_count(worker: CeleryTestWorker) -> int:
    return worker.logs().count(" read in a batch of ")


def assert_each_once(report: dict[str, Any]) -> None:
    assert report["statuses"] == {"succeeded": IMAGES}
    assert report["results"] == IMAGES
    assert report["errors"] == {}


def test_two_workers_share_the_work(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    _, first, second = celery_setup.worker_cluster
    # A worker is ready for messages before its process has loaded the model. Until then the other might read them all.
    names = {f"infer@{first.container.id[:12]}", f"infer_second@{second.container.id[:12]}"}
    assert names <= set(clinic.wait(lambda report: names <= set(report["can_read"]))["can_read"])
    clinic("upload", str(IMAGES))
    assert_each_once(clinic.wait(all_read))
    assert read_count(first) > 0
    assert read_count(second) > 0


def test_no_image_is_lost_when_a_worker_is_killed(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    clinic("upload", str(IMAGES))
    clinic.wait(lambda report: report["results"] > 0)
    celery_setup.worker_cluster[1].kill()
    assert_each_once(clinic.wait(all_read, reconciling=True))


def test_no_image_is_lost_when_the_broker_restarts(celery_setup: CeleryTestSetup, clinic: Clinic) -> None:
    """The broker comes back empty: here none is configured to persist messages."""
    clinic("upload", str(IMAGES))
    clinic.wait(lambda report: report["results"] > 0)
    celery_setup.broker.restart()
    assert_each_once(clinic.wait(all_read, reconciling=True))
