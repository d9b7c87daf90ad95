"""The load for every server: first one client alone, then many at once, and images at a fixed rate, however long their
answers take.
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
#: Most open requests at a fixed rate; each has its own thread.
OPEN = 400
FORM = {"Content-Type": "multipart/form-data; boundary=peers"}

#: A function that sends one image, waits for its answer and checks that it is valid.
Send = Callable[[HTTPConnection, bytes], None]


def measure(address: str, send: Send, bodies: Sequence[bytes]) -> dict[str, float]:
    """Images a second and seconds for an image with :data:`CLIENTS` clients, and seconds with one client (``idle``).

    Args:
        address: the server's address, ``host:port``.
        send: sends an image.
        bodies: the bodies of the requests.
    """
    connection = HTTPConnection(address, timeout=SECONDS)
    idle = [_seconds(connection, send, body) for body in bodies[:ALONE]]
    remaining = iter(bodies)
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        times_by_client = list(pool.map(lambda _: list(_client(address, send, remaining)), range(CLIENTS)))
    rate = len(bodies) / (time.perf_counter() - started)
    p50, p95, p99 = np.percentile([seconds for times in times_by_client for seconds in times], (50, 95, 99)).tolist()
    return {"images_per_second": rate, "p50": p50, "p95": p95, "p99": p99, "idle": float(np.median(idle))}


def at_rate(address: str, send: Send, bodies: Sequence[bytes], rate: float, seconds: float) -> dict[str, float]:
    """Seconds for an image that is sent at a fixed rate, counted from the time at which it was due.

    Clients that wait for an answer before they send again slow down with the server, and so hide its queue. Locust
    has only such clients. With a thread for each request the same adapters serve both measurements.

    Args:
        address: the server's address, ``host:port``.
        send: sends an image.
        bodies: the bodies of the requests, in turns.
        rate: images a second.
        seconds: time for which images are sent.

    Returns:
        ``p50``, ``p95``, ``p99``, and the number of images without an answer when the last one was sent (``left``).
    """
    local = threading.local()
    total = max(1, round(rate * seconds))
    started = time.perf_counter()

    def send_at(number: int) -> float:
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(address, timeout=SECONDS)
        send(local.connection, bodies[number % len(bodies)])
        return time.perf_counter() - (started + number / rate)

    futures = []
    with ThreadPoolExecutor(OPEN) as pool:
        for number in range(total):
            time.sleep(max(0.0, started + number / rate - time.perf_counter()))
            futures.append(pool.submit(send_at, number))
        unanswered = sum(not future.done() for future in futures)
    p50, p95, p99 = np.percentile([future.result() for future in futures], (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "left": unanswered}


def _client(address: str, send: Send, remaining: Iterator[bytes]) -> Iterator[float]:
    connection = HTTPConnection(address, timeout=SECONDS)
    for body in remaining:
        yield _seconds(connection, send, body)
    connection.close()


def _seconds(connection: HTTPConnection, send: Send, body: bytes) -> float:
    started = time.perf_counter()
    send(connection, body)
    return time.perf_counter() - started


def as_json(content: bytes) -> bytes:
    """The body of a peer's request: the image in base64."""
    return json.dumps({"image": base64.b64encode(content).decode()}).encode()


def as_form(content: bytes) -> bytes:
    """The body of PneumoQueue's request: the image as a form."""
    request = httpx.Request("POST", "http://service", files={"file": ("x.jpeg", content)}, headers=FORM)
    return request.read()


def peer(path: str) -> Send:
    """A function that sends an image to a peer's path; the answer holds the probability."""

    def ask(connection: HTTPConnection, body: bytes) -> None:
        probability = answer(connection, "POST", path, body, {"Content-Type": "application/json"})["probability"]
        assert 0 <= probability <= 1

    return ask


def service(token: str) -> Send:
    """A function that uploads an image to PneumoQueue and waits for its result."""
    headers = {"Authorization": f"Token {token}"}

    def ask(connection: HTTPConnection, body: bytes) -> None:
        job = answer(connection, "POST", "/api/v1/images/", body, {**headers, **FORM})
        while job["status"] not in ("succeeded", "failed"):
            job = answer(connection, "GET", f"{urlsplit(job['url']).path}?wait=30", b"", headers)
        assert job["status"] == "succeeded", job

    return ask


def answer(connection: HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """The JSON of a successful answer.

    Raises:
        AssertionError: for any other status.
    """
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    assert response.status in (200, 202), content
    return json.loads(content)
