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

# Logging a line for each of hundreds of requests would slow down the measurement.
logging.getLogger("httpx").setLevel(logging.WARNING)

FINAL = ("succeeded", "failed", "cancelled")


def client(service: Service, **options: Any) -> httpx.Client:
    """A client that is not signed in."""
    return httpx.Client(base_url=service.url, timeout=90, **options)


def admin(service: Service) -> httpx.Client:
    """A client with the admin's token, which has no rate limit."""
    return client(service, headers={"Authorization": f"Token {token(service)}"})


def token(service: Service) -> str:
    login = {"username": "admin", "password": service.admin_password}
    response = httpx.post(f"{service.url}/api/v1/auth/token/", json=login, timeout=90)
    response.raise_for_status()
    return str(response.json()["token"])


def scanners_token(service: Service, slug: str) -> str:
    """Create a department with a service account, and return the account's token."""
    accounts = f"/api/v1/departments/{slug}/service-accounts/"
    with admin(service) as api:
        api.post("/api/v1/departments/", json={"name": slug, "slug": slug}).raise_for_status()
        account = api.post(accounts, json={"name": "scanner", "role": "uploader"}).raise_for_status().json()
        issued = api.post(f"{accounts}{account['id']}/tokens/", json={"name": "scanner"}).raise_for_status().json()
    return str(issued["token"])


def upload(api: httpx.Client, content: bytes, filename: str = "chest.jpeg", **fields: str) -> httpx.Response:
    return api.post("/api/v1/images/", files={"file": (filename, content)}, data=fields)


def wait_final(api: httpx.Client, url: str, seconds: float = 120) -> dict[str, Any]:
    """Poll a job until it is finished.

    Raises:
        TimeoutError: it is not finished in time.
    """
    deadline = time.monotonic() + seconds
    status = "without an answer"
    while time.monotonic() < deadline:
        try:
            data: dict[str, Any] = api.get(url, params={"wait": 20}).raise_for_status().json()
        except httpx.TransportError:  # the web process that held the connection has ended
            time.sleep(0.5)
            continue
        status = data["status"]
        if status in (*FINAL, "finished"):
            return data
    raise TimeoutError(f"{url} is still {status}")


@dataclass
class Load:
    """The results of a series of uploads.

    Attributes:
        results: the final JSON of each image.
        post_seconds: how long each upload took to be accepted.
        seconds: time from the first upload to the last result.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    post_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> int:
        return sum(result["status"] == "succeeded" for result in self.results)

    @property
    def mean_batch(self) -> float:
        """The mean size of the batches that images were read in."""
        sizes = [result["timings"]["batch_size"] for result in self.results if result["status"] == "succeeded"]
        return len(sizes) / sum(1 / size for size in sizes)


def post_many(service: Service, contents: Sequence[bytes], clients: int) -> Load:
    """Upload images by several clients at once, as the admin, and wait for every result."""
    load = Load()
    headers = {"Authorization": f"Token {token(service)}"}
    # Real clients have machines of their own: build the requests before the clock starts, and send them cheaply.
    forms = [httpx.Request("POST", service.url, files={"file": (f"{i}.jpeg", c)}) for i, c in enumerate(contents)]
    bodies = iter([(form.read(), {**headers, "Content-Type": form.headers["Content-Type"]}) for form in forms])
    urls: list[str] = []

    def send() -> None:
        connection = HTTPConnection(service.url.removeprefix("http://"), timeout=120)
        for body, request_headers in bodies:
            before = time.perf_counter()
            connection.request("POST", "/api/v1/images/", body, request_headers)
            response = connection.getresponse()
            text = response.read()
            load.post_seconds.append(time.perf_counter() - before)
            assert response.status == 202, text
            urls.append(json.loads(text)["url"])
        connection.close()

    with ThreadPoolExecutor(clients) as pool, client(service, headers=headers) as api:
        started = time.perf_counter()
        for sender in [pool.submit(send) for _ in range(clients)]:
            sender.result()
        load.results = final_results(api, urls)
        load.seconds = time.perf_counter() - started
    return load


def final_results(api: httpx.Client, urls: Sequence[str]) -> list[dict[str, Any]]:
    """Wait until all jobs are finished: long-poll one unfinished job, then list all jobs, and repeat."""
    unfinished = dict.fromkeys(urls)
    results: list[dict[str, Any]] = []
    while unfinished:
        _get(api, next(reversed(unfinished)), wait=30)
        listed, unlisted = _get(api, "/api/v1/images/", page_size=200), len(unfinished)
        while True:
            for data in listed["results"]:
                if data["url"] in unfinished:
                    unlisted -= 1
                    if data["status"] in FINAL:
                        results.append(data)
                        del unfinished[data["url"]]
            if not unlisted:
                break
            assert listed["next"], f"{unlisted} images are not listed"
            listed = _get(api, listed["next"])
    return results


def _get(api: httpx.Client, url: str, **params: int) -> Any:
    while True:
        try:
            # An empty dict would remove the URL's own parameters.
            return api.get(url, params=params or None).raise_for_status().json()
        except httpx.TransportError:  # the web process is being restarted
            time.sleep(0.5)
