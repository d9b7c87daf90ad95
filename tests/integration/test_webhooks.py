"""A webhook announces a finished study to another system, with real processes."""

import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Standard

from tests import clients, synthetic
from tests import receiver as receivers
from tests.receiver import Receiver
from tests.service import Service

pytestmark = pytest.mark.integration


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receivers.receiving() as running:
        yield running


@pytest.fixture
def admin(service: Service) -> Iterator[httpx.Client]:
    with clients.admin(service) as client:
        yield client


@pytest.fixture
def secret(admin: httpx.Client, receiver: Receiver) -> Iterator[str]:
    """The secret of one of the admin's webhooks."""
    added = admin.post("/api/v1/webhooks/", json={"url": receiver.url})
    assert added.status_code == 201, added.text
    yield added.json()["secret"]
    assert admin.delete(f"/api/v1/webhooks/{added.json()['id']}/").status_code == 204


def send_study(admin: httpx.Client, name: str) -> str:
    zipped = synthetic.zip_of({f"{seed}.jpg": synthetic.xray_jpeg(seed) for seed in range(2)})
    files = [
        ("files", ("one.jpg", synthetic.xray_jpeg(5))),
        ("files", ("two.zip", zipped)),
        ("files", ("x.txt", b"no")),
    ]
    accepted = admin.post("/api/v1/studies/", files=files, data={"name": name})
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["url"])


def wait_for_requests(receiver: Receiver, number: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while len(receiver.requests) < number:
        assert time.monotonic() < deadline, f"{len(receiver.requests)} of {number} requests arrived"
        time.sleep(0.05)


@pytest.mark.long
def test_a_finished_study_is_sent_to_the_webhook_once(admin: httpx.Client, receiver: Receiver, secret: str) -> None:
    url = send_study(admin, "ward 3")
    assert clients.wait_final(admin, url)["status"] == "finished"
    finished = time.monotonic()
    wait_for_requests(receiver, 1, 30)
    print(f"\nthe event arrived {time.monotonic() - finished:.2f} s after the study was seen to be finished")
    time.sleep(12)  # by now beat has looked again for events to send
    [request] = receiver.requests
    event = Standard(secret).verify(request.body, request.headers)
    assert event["event"] == "study.finished"
    assert event["study"]["url"] == url
    assert event["study"]["total"] == 4
    assert (event["study"]["counts"]["succeeded"], event["study"]["counts"]["failed"]) == (3, 1)


@pytest.mark.long
def test_an_event_arrives_after_a_receivers_failure_and_a_workers_death(
    service: Service, admin: httpx.Client, receiver: Receiver, secret: str
) -> None:
    receiver.status = 503
    clients.wait_final(admin, send_study(admin, "ward 4"))
    wait_for_requests(receiver, 1, 30)
    receiver.status = 200
    os.kill(service.named("--hostname=deliver@")[0].pid, signal.SIGKILL)
    wait_for_requests(receiver, 2, 90)
    ids = {Standard(secret).verify(request.body, request.headers)["id"] for request in receiver.requests}
    assert len(ids) == 1
