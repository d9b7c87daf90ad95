"""Threads and connections under asyncio: few turns, threads that stay, and none for those who wait."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection
from django.http import FileResponse, StreamingHttpResponse

from tests.asgi import browse
from webapp.accounts import identity as identities
from webapp.config.asgi import application
from webapp.http.handler import PARTS, Threads, sent_as_made

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owned(make_image, guest):
    """The URL of an image that waits, and the header that shows it."""
    image = make_image(guest=guest.guest)
    return f"/api/v1/images/{image.pk}/", {"X-Job-Token": identities.make_token(guest.guest)}


@pytest.fixture
def turns(monkeypatch):
    """Each turn through a thread."""
    taken = []
    submit = ThreadPoolExecutor.submit

    def count(self, *args, **kwargs):
        taken.append(args)
        return submit(self, *args, **kwargs)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", count)
    return taken


def test_a_request_passes_everything_in_one_turn_beside_its_start_and_end(turns):
    assert browse(lambda by: by.get("/api/v1/images/")).status_code == 200
    assert len(turns) <= 3


def test_a_request_that_may_wait_takes_few_turns(turns, owned):
    """With each hook of each middleware in a turn of its own it would be more than twenty."""
    url, headers = owned
    assert browse(lambda by: by.get(url), **headers).status_code == 200
    assert len(turns) <= 4


def test_requests_start_no_threads_once_there_are_enough(monkeypatch):
    started = []
    start = threading.Thread.start

    def count(self):
        started.append(self.name)
        return start(self)

    async def scenario(by):
        for _ in range(application._threads._max_workers * 3):  # a thread more for each, until there are enough
            await by.get("/api/v1/images/")
        monkeypatch.setattr(threading.Thread, "start", count)
        return [(await by.get("/api/v1/images/")).status_code for _ in range(5)]

    assert browse(scenario) == [200] * 5
    assert started == []


def test_those_who_wait_hold_no_thread(owned):
    url, headers = owned

    async def scenario(by):
        waiting = [asyncio.create_task(by.get(url, params={"wait": 20})) for _ in range(20)]
        await asyncio.sleep(0.5)
        answers = [(await by.get("/api/v1/images/")).status_code for _ in range(5)]
        held = sum(not task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return answers, held

    assert application._threads._max_workers < 20
    assert browse(scenario, **headers) == ([200] * 5, 20)


def test_a_view_that_fails_leaves_the_threads_to_others(monkeypatch):
    monkeypatch.setattr("webapp.ops.metrics.exposition", lambda: 1 / 0)

    async def run():
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as by:
            failed = [(await by.get("/metrics")).status_code for _ in range(10)]
            return failed, (await by.get("/api/v1/images/")).status_code

    assert asyncio.run(run()) == ([500] * 10, 200)


def test_a_thread_drops_a_connection_that_broke_before_its_next_turn():
    closed = []

    def break_it():
        connection.ensure_connection()
        connection.errors_occurred = True
        connection.is_usable = lambda: False
        connection.close = lambda: closed.append(threading.current_thread())
        return threading.current_thread()

    threads = Threads(1)
    thread = threads.submit(break_it).result()
    assert closed == []
    threads.submit(int).result()
    assert closed == [thread]
    threads.shutdown()


def test_what_is_streamed_goes_out_as_it_is_made():
    made = []

    def rows():
        for number in range(1000):
            made.append(number)
            yield f"{number}\n"

    async def scenario():
        response = sent_as_made(StreamingHttpResponse(rows()))
        parts = response.streaming_content
        first = await anext(parts)
        early = len(made)
        return early, first + b"".join([part async for part in parts])

    early, content = asyncio.run(scenario())
    assert 0 < early <= PARTS
    assert content == b"".join(b"%d\n" % number for number in range(1000))


def test_a_streamed_file_keeps_its_length_and_is_closed(tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(bytes(range(256)) * 4096)
    opened = file.open("rb")

    async def scenario():
        response = sent_as_made(FileResponse(opened))
        content = b"".join([part async for part in response.streaming_content])
        response.close()
        return response, content

    response, content = asyncio.run(scenario())
    assert content == file.read_bytes()
    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["Content-Type"] == "image/png"
    assert opened.closed
