"""The same load for every server: one client that has nothing beside it, then many at once, and images at a fixed rate,
however long their answers take.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

CLIENTS, ALONE, SECONDS = 16, 8, 120
#: Requests that may be open at a fixed rate; each has a thread here.
OPEN = 400
FORM = {"Content-Type": "multipart/form-data; boundary=peers"}

#: Sends one image and waits for its answer; makes no more of it than that it is there.
Asks = Callable[[HTTPConnection, bytes], None]


def measure(address: str, asks: Asks, bodies: Sequence[bytes]) -> dict[str, float]:
    """Images a second and seconds for an image of :data:`CLIENTS` clients, and of one alone (``idle``).

    Args:
        address: the server's, ``host:port``.
        asks: sends an image.
        bodies: of the requests.
    """
    connection = HTTPConnection(address, timeout=SECONDS)
    idle = [_seconds(connection, asks, body) for body in bodies[:ALONE]]
    left = iter(bodies)
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        lists = list(pool.map(lambda _: list(_client(address, asks, left)), range(CLIENTS)))
    rate = len(bodies) / (time.perf_counter() - started)
    p50, p95, p99 = np.percentile([seconds for each in lists for seconds in each], (50, 95, 99)).tolist()
    return {"images_per_second": rate, "p50": p50, "p95": p95, "p99": p99, "idle": float(np.median(idle))}


def at_rate(address: str, asks: Asks, bodies: Sequence[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Seconds for an image that is sent at a fixed rate, from the moment at which it was due.

    Clients that wait for an answer before they send again slow down with the server, and hide its queue. Locust has
    only such clients; a thread for each request needs no second set of adapters.

    Args:
        address: as for :func:`measure`, likewise the next two.
        asks: sends an image.
        bodies: of the requests, in turns.
        rate: images a second.
        seconds: that images are sent for.

    Returns:
        ``p50``, ``p95``, ``p99``, and how many images were ``left`` when the last one was sent.
    """
    own = threading.local()
    number = max(1, round(rate * seconds))
    started = time.perf_counter()

    def ask(place: int) -> float:
        if not hasattr(own, "connection"):
            own.connection = HTTPConnection(address, timeout=SECONDS)
        asks(own.connection, bodies[place % len(bodies)])
        return time.perf_counter() - (started + place / rate)

    sent = []
    with ThreadPoolExecutor(OPEN) as pool:
        for place in range(number):
            time.sleep(max(0.0, started + place / rate - time.perf_counter()))
            sent.append(pool.submit(ask, place))
        left = sum(not one.done() for one in sent)
    p50, p95, p99 = np.percentile([one.result() for one in sent], (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "left": left}


def _client(address: str, asks: Asks, left: Iterator[bytes]) -> Iterator[float]:
    connection = HTTPConnection(address, timeout=SECONDS)
    for body in left:
        yield _seconds(connection, asks, body)
    connection.close()


def _seconds(connection: HTTPConnection, asks: Asks, body: bytes) -> float:
    started = time.perf_counter()
    asks(connection, body)
    return time.perf_counter() - started


def as_json(content: bytes) -> bytes:
    """A peer's request: the image in base64."""
    return json.dumps({"image": base64.b64encode(content).decode()}).encode()


def as_form(content: bytes) -> bytes:
    """PneumoQueue's request: the image as a form."""
    request = httpx.Request("POST", "http://service", files={"file": ("x.jpeg", content)}, headers=FORM)
    return request.read()


def peer(path: str) -> Asks:
    """Asks a peer at a path, whose answer is the probability."""

    def ask(connection: HTTPConnection, body: bytes) -> None:
        probability = answer(connection, "POST", path, body, {"Content-Type": "application/json"})["probability"]
        assert 0 <= probability <= 1

    return ask


def service(token: str) -> Asks:
    """Uploads an image to PneumoQueue and waits for its result."""
    known = {"Authorization": f"Token {token}"}

    def ask(connection: HTTPConnection, body: bytes) -> None:
        found = answer(connection, "POST", "/api/v1/images/", body, {**known, **FORM})
        while found["status"] not in ("succeeded", "failed"):
            found = answer(connection, "GET", f"{urlsplit(found['url']).path}?wait=30", b"", known)
        assert found["status"] == "succeeded", found

    return ask


def answer(connection: HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """The JSON of a successful answer.

    Raises:
        AssertionError: for any other status.
    """
    connection.request(method, path, body, headers)
    got = connection.getresponse()
    content = got.read()
    assert got.status in (200, 202), content
    return json.loads(content)
