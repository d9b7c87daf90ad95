"""Whichever process is killed, and whenever, every image ends with exactly one result."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing

import httpx
import pytest

from tests import clients, synthetic
from tests.clients import Load
from tests.service import Service

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

IMAGES = 48
#: Longest time until a lost message is found, with a margin for a slow machine.
RECOVERY_SECONDS = 60


class Background(threading.Thread):
    """A load that runs while the test kills processes."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.load: Load | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        contents = [synthetic.xray_jpeg(seed) for seed in range(6)] * (IMAGES // 6)
        try:
            self.load = clients.post_many(self.service, contents, clients=16)
        except Exception as error:
            self.error = error

    def finish(self) -> Load:
        self.join(240)
        assert not self.is_alive(), "images are still waiting"
        assert self.error is None, self.error
        assert self.load is not None
        return self.load


@pytest.fixture
def busy(service: Service) -> Background:
    """A running load: some of its images have been read, most have not."""
    before = succeeded(service)
    background = Background(service)
    background.start()
    wait_until(lambda: succeeded(service) > before)
    return background


def succeeded(service: Service) -> float:
    for line in httpx.get(f"{service.url}/metrics", timeout=20).text.splitlines():
        if line.startswith('pneumoqueue_images_finished_last_hour{code="",status="succeeded"}'):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError("the metric is missing")


def being_read(service: Service) -> int:
    """Number of images in a batch at this moment."""
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3")) as database:
        (number,) = database.execute("SELECT count(*) FROM studies_image WHERE status = 'running'").fetchone()
    return int(number)


def suspended_in_a_batch(service: Service, pid: int) -> bool:
    """Suspend a process and tell whether it is in the middle of a batch; if it is not, let it go on."""
    os.kill(pid, signal.SIGSTOP)
    if being_read(service):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def wait_until(condition, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.1)


def assert_one_result_each(load: Load) -> None:
    assert load.succeeded == IMAGES
    assert len({result["id"] for result in load.results}) == IMAGES


def test_the_model_process_is_killed_in_mid_batch(service: Service, busy: Background) -> None:
    child = service.infer_child().pid
    wait_until(lambda: suspended_in_a_batch(service, child))
    os.kill(child, signal.SIGKILL)
    load = busy.finish()
    assert_one_result_each(load)
    assert max(result["attempts"] for result in load.results) == 2, "no batch was in the process when it was killed"
    assert service.infer_child().pid != child


def test_the_infer_worker_is_killed(service: Service, busy: Background) -> None:
    parent = service.infer_parent().pid
    os.kill(parent, signal.SIGKILL)
    assert_one_result_each(busy.finish())
    assert service.infer_parent().pid != parent


def test_an_ingest_process_is_killed(service: Service, busy: Background) -> None:
    os.kill(service.named("--hostname=ingest@")[-1].pid, signal.SIGKILL)
    assert_one_result_each(busy.finish())


def test_redis_is_killed_and_comes_back_empty(service: Service, busy: Background) -> None:
    redis = service.redis()
    # Suspend Redis while its files are deleted, so that the one that supervisord starts next cannot load them.
    os.kill(redis.pid, signal.SIGSTOP)
    for file in (service.data_dir / "redis").rglob("*.aof*"):
        file.unlink()
    os.kill(redis.pid, signal.SIGKILL)
    killed = time.monotonic()
    with clients.admin(service) as client:
        response = clients.upload(client, synthetic.xray_jpeg(50))
        assert response.status_code == 202, response.text
        assert clients.wait_final(client, response.json()["url"])["status"] == "succeeded"
    assert_one_result_each(busy.finish())
    assert time.monotonic() - killed < RECOVERY_SECONDS + 60


def test_a_web_process_is_killed(service: Service) -> None:
    with clients.admin(service) as client:
        urls = [clients.upload(client, synthetic.xray_jpeg(seed)).json()["url"] for seed in range(4)]
        os.kill(service.named("gunicorn")[-1].pid, signal.SIGKILL)
        wait_until(lambda: _answers(service))
        results = [clients.wait_final(client, url) for url in urls]
    assert [result["status"] for result in results] == ["succeeded"] * 4


def _answers(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
