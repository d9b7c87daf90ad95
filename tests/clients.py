"""Clients of the service's API, one or many at once."""

import json
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
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
    answer = httpx.post(f"{service.url}/api/v1/auth/token/", json=login, timeout=90)
    answer.raise_for_status()
    return str(answer.json()["token"])


def scanners_token(service: Service, slug: str) -> str:
    """The token of a new department's service account."""
    accounts = f"/api/v1/departments/{slug}/service-accounts/"
    with admin(service) as by:
        by.post("/api/v1/departments/", json={"name": slug, "slug": slug}).raise_for_status()
        account = by.post(accounts, json={"name": "scanner", "role": "uploader"}).raise_for_status().json()
        issued = by.post(f"{accounts}{account['id']}/tokens/", json={"name": "scanner"}).raise_for_status().json()
    return str(issued["token"])


def upload(by: httpx.Client, content: bytes, filename: str = "chest.jpeg", **fields: str) -> httpx.Response:
    return by.post("/api/v1/images/", files={"file": (filename, content)}, data=fields)


def wait_final(by: httpx.Client, url: str, seconds: float = 120) -> dict[str, Any]:
    """Poll a job until it is finished.

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
    load = Load()
    headers = {"Authorization": f"Token {token(service)}"}
    # Put together before the clock starts, and sent by the plainest client there is: clients have their own machines.
    forms = [httpx.Request("POST", service.url, files={"file": (f"{i}.jpeg", c)}) for i, c in enumerate(contents)]
    bodies = iter([(form.read(), {**headers, "Content-Type": form.headers["Content-Type"]}) for form in forms])
    urls: list[str] = []

    def send() -> None:
        connection = HTTPConnection(service.url.removeprefix("http://"), timeout=120)
        for body, described in bodies:
            before = time.perf_counter()
            connection.request("POST", "/api/v1/images/", body, described)
            answer = connection.getresponse()
            text = answer.read()
            load.post_seconds.append(time.perf_counter() - before)
            assert answer.status == 202, text
            urls.append(json.loads(text)["url"])
        connection.close()

    with ThreadPoolExecutor(clients) as pool, client(service, headers=headers) as by:
        started = time.perf_counter()
        for sent in [pool.submit(send) for _ in range(clients)]:
            sent.result()
        load.results = final_results(by, urls)
        load.seconds = time.perf_counter() - started
    return load


def final_results(by: httpx.Client, urls: Sequence[str]) -> list[dict[str, Any]]:
    """Wait until jobs are finished: hold a request for one that is not, then list all, and repeat."""
    left = dict.fromkeys(urls)
    results: list[dict[str, Any]] = []
    while left:
        _get(by, next(reversed(left)), wait=30)
        listed, wanted = _get(by, "/api/v1/images/", page_size=200), len(left)
        while True:
            for data in listed["results"]:
                if data["url"] in left:
                    wanted -= 1
                    if data["status"] in FINAL:
                        results.append(data)
                        del left[data["url"]]
            if not wanted:
                break
            assert listed["next"], f"{wanted} images are not listed"
            listed = _get(by, listed["next"])
    return results


def _get(by: httpx.Client, url: str, **params: int) -> Any:
    while True:
        try:
            # An empty dict would take the URL's own parameters away.
            return by.get(url, params=params or None).raise_for_status().json()
        except httpx.TransportError:  # a web process that is being restarted
            time.sleep(0.5)
