"""Requests that wait for an image are notified of its end through Redis, and otherwise rarely query the database."""

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis
from django.test import override_settings

from compose.local.resources import redis_server
from tests.asgi import browse
from tests.servers import free_port
from tests.webapp.waiting.conftest import TOO_LONG, in_thread
from webapp.config import brokers
from webapp.studies import notices, waiting
from webapp.studies.api import views
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import cancellation, deletion

pytestmark = pytest.mark.django_db(transaction=True)


class Server:
    """A Redis server that can be stopped and started."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [str(redis_server()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._until(lambda: redis.Redis(port=self.port).ping())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def until_subscribed(self) -> None:
        """Wait until somebody has subscribed to the messages."""
        self._until(
            lambda: dict(redis.Redis(port=self.port).pubsub_numsub(notices.CHANNEL)).get(notices.CHANNEL.encode())
        )

    def _until(self, condition) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except redis.ConnectionError:
                pass
            time.sleep(0.02)
        raise AssertionError("the condition did not become true in time")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[Server]:
    """Redis as the cache, with polling intervals so long that only messages end a wait."""
    server = Server()
    monkeypatch.setattr(waiting, "POLL_SECONDS", 100)
    monkeypatch.setattr(waiting, "_hub", waiting.Hub())
    with override_settings(CACHES={**settings.CACHES, "default": brokers.cache(f"redis://127.0.0.1:{server.port}/0")}):
        yield server
        notices.publish()  # wakes the listening thread, which ends because its loop is closed
        server.stop()


def wait_for(image, change, headers=None):
    """Return the status that a waiting client receives when the change is made to the image."""

    async def scenario(client):
        waiter = asyncio.create_task(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20}))
        await asyncio.sleep(0.3)
        assert not waiter.done()
        await in_thread(change)()
        answer = await asyncio.wait_for(waiter, TOO_LONG)
        return answer.json()["status"]

    return browse(scenario, **(headers or {}))


def test_a_result_is_noticed(server, make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.READY, **fields)
    assert wait_for(image, lambda: read(image), headers) == "succeeded"


def test_a_cancelled_image_is_noticed(server, make_image, owned):
    fields, headers = owned
    image = make_image(Status.QUEUED, **fields)
    assert wait_for(image, lambda: cancellation.cancel_image(image), headers) == "cancelled"


def test_a_deleted_image_is_noticed(server, make_image, owned, guest):
    fields, headers = owned
    image = make_image(Status.QUEUED, **fields)
    assert wait_for(image, lambda: deletion.delete_image(image, guest), headers) == 404


def test_an_image_that_ends_just_before_the_wait_begins_is_noticed(server, make_image, read, owned, monkeypatch):
    fields, headers = owned
    first, image = make_image(Status.READY, **fields), make_image(Status.READY, **fields)
    has_ended = views.has_ended

    def check_then_finish(identity, pk):
        ended = has_ended(identity, pk)
        if pk == image.pk:
            read(image)
        return ended

    monkeypatch.setattr(views, "has_ended", check_then_finish)

    async def scenario(client):
        asyncio.get_running_loop().create_task(client.get(f"/api/v1/images/{first.pk}/", params={"wait": 20}))
        await in_thread(server.until_subscribed)()
        answer = await asyncio.wait_for(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20}), TOO_LONG)
        return answer.json()["status"]

    assert browse(scenario, **headers) == "succeeded"


def test_messages_are_received_again_when_redis_is_back(server, make_image, read, owned):
    fields, headers = owned
    image = make_image(Status.READY, **fields)

    def restart_redis() -> None:
        server.until_subscribed()
        server.stop()
        time.sleep(0.2)
        server.start()
        server.until_subscribed()
        read(image)

    assert wait_for(image, restart_redis, headers) == "succeeded"


def test_waiting_requests_poll_while_redis_is_down(server, make_image, read, owned, monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.5)
    fields, headers = owned
    image = make_image(Status.READY, **fields)

    def without_redis() -> None:
        server.stop()
        read(image)

    assert wait_for(image, without_redis, headers) == "succeeded"
    server.start()


def test_the_database_is_rarely_queried_without_messages(server, make_image, statements, monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.5)
    image = make_image()

    async def scenario():
        waiter = asyncio.create_task(waiting.until_final(Image, image.pk))
        await asyncio.sleep(2.2)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)

    statements.clear()
    asyncio.run(scenario())
    assert 2 <= len(statements) <= 6  # one of them after subscribing; polling without Redis would take 22


def test_images_that_end_in_one_transaction_are_announced_by_one_message(server, make_study, commit):
    study = make_study(*["queued"] * 5)
    with redis.Redis(port=server.port).pubsub(ignore_subscribe_messages=True) as messages:
        messages.subscribe(notices.CHANNEL)
        messages.get_message(timeout=TOO_LONG)
        cancellation.cancel_study(study)
        received = [messages.get_message(timeout=0.5) for _ in range(3)]
    assert [message is not None for message in received] == [True, False, False]
