"""Many waiting clients take few queries, no threads and no connections."""

import asyncio
import threading
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError

from tests.asgi import browse
from tests.webapp.clients import JPEG
from tests.webapp.waiting.conftest import TOO_LONG, in_thread
from webapp.studies import waiting
from webapp.studies.models import Image, Study
from webapp.studies.services import cancellation

pytestmark = pytest.mark.django_db(transaction=True)

# --- many clients ---------------------------------------------------------------------------------------------------


def test_many_waiting_clients_cost_few_queries(make_image, statements):
    images = [make_image() for _ in range(20)]

    async def scenario():
        waiters = [asyncio.create_task(waiting.until_final(Image, images[n % 20].pk)) for n in range(300)]
        await asyncio.sleep(1)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)

    statements.clear()
    asyncio.run(scenario())
    assert 2 <= len(statements) <= 15


def test_few_images_are_polled_more_often() -> None:
    images = [(Image, uuid4()) for _ in range(300)]
    assert [waiting.interval(images[:count], 0) for count in (1, 4, 7, 300)] == pytest.approx([0.01, 0.04, 0.07, 0.1])
    assert waiting.interval([(Study, uuid4())], 0) == 0.1, "each poll of a study counts its images"


def test_long_waits_are_polled_less_often() -> None:
    image = (Image, uuid4())
    assert [waiting.interval([image], age) for age in (0.1, 0.6, 20)] == pytest.approx([0.01, 0.03, 0.1])


def test_only_clients_of_a_changed_image_are_answered(make_image):
    changed, other = make_image(), make_image()

    async def scenario():
        awake = [asyncio.create_task(waiting.until_final(Image, changed.pk)) for _ in range(50)]
        asleep = asyncio.create_task(waiting.until_final(Image, other.pk))
        await asyncio.sleep(0.2)
        await in_thread(cancellation.cancel_image)(changed)
        await asyncio.wait_for(asyncio.gather(*awake), TOO_LONG)
        assert not asleep.done()
        asleep.cancel()

    asyncio.run(scenario())


def test_polling_stops_when_no_client_waits(make_image, statements):
    image = make_image()

    async def scenario():
        waiters = [asyncio.create_task(waiting.until_final(Image, image.pk)) for _ in range(3)]
        await asyncio.sleep(0.3)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.sleep(0.3)
        statements.clear()
        await asyncio.sleep(0.5)
        after = len(statements)
        # Later requests are served again.
        late = asyncio.create_task(waiting.until_final(Image, image.pk))
        await asyncio.sleep(0.1)
        await in_thread(cancellation.cancel_image)(image)
        await asyncio.wait_for(late, TOO_LONG)
        return after

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_waiting_clients_survive_a_short_database_failure(make_image, monkeypatch, error):
    image = make_image()
    image_states, failures = waiting.image_states, []

    def failing(ids):
        if len(failures) < 3:
            failures.append(ids)
            raise error("the database is restarting")
        return image_states(ids)

    monkeypatch.setattr(waiting, "image_states", failing)

    async def scenario():
        waiter = asyncio.create_task(waiting.until_final(Image, image.pk))
        await asyncio.sleep(0.2)
        await in_thread(cancellation.cancel_image)(image)
        await asyncio.wait_for(waiter, TOO_LONG)

    asyncio.run(scenario())
    assert len(failures) == 3


def test_many_waiting_clients_hold_no_thread_and_no_connection(make_image, owned):
    """More clients wait than there are threads, and other requests are still answered."""
    fields, headers = owned
    image = make_image(**fields)

    def thread_names():
        return {thread.name for thread in threading.enumerate() if thread.name.startswith(("WSGI", "waiting"))}

    async def scenario(client):
        waiters = [
            asyncio.create_task(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20})) for _ in range(60)
        ]
        await asyncio.sleep(1)
        answers = [(await client.get("/api/v1/images/")).status_code for _ in range(5)]
        still_waiting = sum(not waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return answers, still_waiting

    assert browse(scenario, **headers) == ([200] * 5, 60)
    assert len(thread_names()) <= settings.WEB_THREADS + 1


def test_an_upload_is_accepted_while_many_wait(make_image, owned):
    fields, headers = owned
    images = [make_image(**fields) for _ in range(5)]

    async def scenario(client):
        waiters = [
            asyncio.create_task(client.get(f"/api/v1/images/{images[n % 5].pk}/", params={"wait": 4}))
            for n in range(60)
        ]
        await asyncio.sleep(1.5)
        answer = await client.post("/api/v1/images/", files={"file": ("a.jpg", JPEG)})
        still_waiting = sum(not waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
        return answer, still_waiting

    answer, still_waiting = browse(scenario, **headers)
    assert answer.status_code == 202
    assert still_waiting == 60


# --- other requests under ASGI --------------------------------------------------------------------------------------


# Under asyncio a response must be streamed and not collected first; Django warns if it is collected.
@pytest.mark.filterwarnings("error:StreamingHttpResponse must consume")
def test_upload_table_and_picture_work_under_asgi(tmp_path):
    async def scenario(client):
        accepted = await client.post(
            "/api/v1/studies/", files=[("files", ("a.jpg", JPEG)), ("files", ("b.txt", b"text"))]
        )
        study = accepted.json()
        table = await client.get(study["results_url"])
        return accepted, table, await client.get("/healthz")

    accepted, table, health = browse(scenario)
    assert accepted.status_code == 202
    assert len(table.text.splitlines()) == 3
    assert health.json() == {"status": "ok"}
