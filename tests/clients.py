"""Clients of the service's API, one or many at once."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.service import Service

# A line for each of hundreds of requests would be a load of its own.
logging.getLogger("httpx").setLevel(logging.WARNING)

FINAL = ("succeeded", "failed", "cancelled")


def client(service: Service, **options: Any) -> httpx.Client:
    """A guest's client."""
    return httpx.Client(base_url=service.url, timeout=90, **options)


def admin(service: Service) -> httpx.Client:
    """A client with the admin's token, which has no rate limit."""
    return client(service, headers={"Authorization": f"Token {token(service)}"})


def token(service: Service) -> str:
    login = {"username": "admin", "password": service.admin_password}
    answer = httpx.post(f"{service.url}/api/v1/auth/token/", json=login)
    answer.raise_for_status()
    return str(answer.json()["token"])


def upload(by: httpx.Client, content: bytes, filename: str = "chest.jpeg", **fields: str) -> httpx.Response:
    return by.post("/api/v1/images/", files={"file": (filename, content)}, data=fields)


def wait_final(by: httpx.Client, url: str, seconds: float = 120) -> dict[str, Any]:
    """Poll a job until it has come to an end.

    Raises:
        TimeoutError: it has not.
    """
    deadline = time.monotonic() + seconds
    status = "not answered for"
    while time.monotonic() < deadline:
        try:
            data: dict[str, Any] = by.get(url, params={"wait": 20}).raise_for_status().json()
        except httpx.TransportError:  # its connection ended with the web process that had it
            time.sleep(0.5)
            continue
        status = data["status"]
        if status in (*FINAL, "finished"):
            return data
    raise TimeoutError(f"{url} is still {status}")


@dataclass
class Load:
    """What came of a series of uploads.

    Attributes:
        results: each image's last JSON.
        post_seconds: how long each upload took to be accepted.
        seconds: from the first upload to the last result.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    post_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> int:
        return sum(result["status"] == "succeeded" for result in self.results)

    @property
    def mean_batch(self) -> float:
        """Images by the batches that they were read in."""
        sizes = [result["timings"]["batch_size"] for result in self.results if result["status"] == "succeeded"]
        return len(sizes) / sum(1 / size for size in sizes)


def post_many(service: Service, contents: Sequence[bytes], clients: int) -> Load:
    """Upload images by several clients at once, as the admin, and wait for every result."""
    work = _post_many(service, token(service), contents, clients)
    # In a thread of its own, since a browser that is open holds this one's event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _post_many(service: Service, key: str, contents: Sequence[bytes], clients: int) -> Load:
    load = Load()
    urls: list[str] = []
    # Put together before the clock starts: that is work of the clients' own machines.
    bodies = [httpx.Request("POST", service.url, files={"file": (f"{i}.jpeg", c)}) for i, c in enumerate(contents)]
    for body in bodies:
        body.read()
    work = iter(bodies)
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=service.url, timeout=120, limits=limits, headers={"Authorization": f"Token {key}"}
    ) as by:
        started = time.perf_counter()

        async def send() -> None:
            for body in work:
                before = time.perf_counter()
                answer = await by.post(
                    "/api/v1/images/", content=body.content, headers={"Content-Type": body.headers["Content-Type"]}
                )
                load.post_seconds.append(time.perf_counter() - before)
                assert answer.status_code == 202, answer.text
                urls.append(answer.json()["url"])

        await asyncio.gather(*[send() for _ in range(clients)])
        load.results = await final_results(by, urls)
        load.seconds = time.perf_counter() - started
    return load


async def final_results(by: httpx.AsyncClient, urls: Sequence[str]) -> list[dict[str, Any]]:
    """Wait for jobs to come to an end: hold one request for one that has not, then list them all, and so on."""
    left = dict.fromkeys(urls)
    results: list[dict[str, Any]] = []
    while left:
        await _get(by, next(reversed(left)), wait=30)
        page, wanted = 1, len(left)
        while wanted:
            listed = await _get(by, "/api/v1/images/", page=page)
            for data in listed["results"]:
                if data["url"] in left:
                    wanted -= 1
                    if data["status"] in FINAL:
                        results.append(data)
                        del left[data["url"]]
            assert listed["next"] or not wanted, f"{wanted} images are not listed"
            page += 1
    return results


async def _get(by: httpx.AsyncClient, url: str, **params: int) -> Any:
    while True:
        try:
            answer = await by.get(url, params=params)
            return answer.raise_for_status().json()
        except httpx.TransportError:  # a web process that is being restarted
            await asyncio.sleep(0.5)
