"""The service's speed, compared to a bare loop around its engine on the same machine in the same run.

`make bench` prints the figures. X-rays are real if the data set is available, otherwise synthetic.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import clients
from tests.service import ROOT, Service, bundle

pytestmark = pytest.mark.benchmark

CLIENTS, ROUNDS = 16, 3
WAITING = 300


@dataclass
class Bare:
    """Images a second of a process that only reads, including the maps and warnings that the service makes.

    Attributes:
        prepared: rate for inputs that are already prepared in memory.
        from_files: rate for uploaded files, which have to be decoded and prepared first.
    """

    prepared: float
    from_files: float


def bare_loop(uploads: Path) -> Bare:
    """Measure the service's bundle and engine in a bare loop."""
    figures = uploads.parent / "bare.json"
    subprocess.run(
        [sys.executable, "-m", "ml", "benchmark", "--model", bundle(), "--batch", "16", "--seconds", "5",
         "--files", uploads, "--json", figures],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    report = json.loads(figures.read_text())
    [rates] = report["with_maps_and_warnings"].values()
    return Bare(float(rates["16"]), float(report["from_files"]))


@contextmanager
def watching_memory(service: Service) -> Iterator[dict[str, float]]:
    """The largest resident size of each kind of process, in MB, while the block runs."""
    largest: dict[str, float] = {}
    kinds = {"web": "gunicorn", "infer": "--hostname=infer@", "ingest": "--hostname=ingest@", "redis": "redis-server"}
    # Listed once, because repeated searches through all processes would slow down the service.
    watched = [(kind, process) for kind, pattern in kinds.items() for process in service.named(pattern)]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            for kind, process in watched:
                largest[kind] = max(largest.get(kind, 0.0), process.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield largest
    finally:
        stop.set()
        thread.join()


def test_throughput(service: Service, contents: list[bytes], tmp_path: Path) -> None:
    """16 clients upload 200 images together, in rounds; before and after each round the bare loop runs."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for number, content in enumerate(contents):
        (uploads / f"{number}.jpeg").write_bytes(content)
    ratios, prepared_ratios = [], []
    before = bare_loop(uploads)
    print("\nimages a second: service; bare loop from the same files, before and after; from prepared inputs, likewise")
    for _ in range(ROUNDS):
        with watching_memory(service) as memory:
            load = clients.post_many(service, contents, CLIENTS)
        after = bare_loop(uploads)
        rate = load.succeeded / load.seconds
        ratios.append(2 * rate / (before.from_files + after.from_files))
        prepared_ratios.append(2 * rate / (before.prepared + after.prepared))
        print(f"  {rate:.2f}; {before.from_files:.2f}, {after.from_files:.2f}; {before.prepared:.2f}, "
              f"{after.prepared:.2f}; ratios {ratios[-1]:.3f}, {prepared_ratios[-1]:.3f}; mean "
              f"batch {load.mean_batch:.1f}; {load.succeeded} of {len(contents)} succeeded in "
              f"{load.seconds:.1f} s")  # fmt: skip
        before = after
        assert load.succeeded == len(contents)
    print(f"median ratio         {statistics.median(ratios):.3f} of the bare loop from files, "
          f"{statistics.median(prepared_ratios):.3f} of the loop from prepared inputs")  # fmt: skip
    print(f"upload accepted      {statistics.median(load.post_seconds) * 1000:.0f} ms at the median, "
          f"{max(load.post_seconds) * 1000:.0f} ms at most, in the last round")  # fmt: skip
    print("largest process      " + ", ".join(f"{kind} {size:.0f} MB" for kind, size in sorted(memory.items())))


def test_one_image(service: Service, contents: list[bytes]) -> None:
    """One image on an idle machine, from the upload until the client has the result."""
    seconds = []
    with clients.admin(service) as api:
        for content in contents[:10]:
            started = time.perf_counter()
            result = clients.wait_final(api, clients.upload(api, content).json()["url"])
            seconds.append(time.perf_counter() - started)
            assert result["status"] == "succeeded"
    print(f"\none image            {statistics.median(seconds):6.2f} s at the median, {max(seconds):.2f} s at most")


def test_uploads_while_many_wait(service: Service, contents: list[bytes]) -> None:
    """Uploads while 300 clients wait with `?wait=` for images that the suspended infer worker does not read."""
    infer = [service.infer_parent(), *service.infer_parent().children()]
    for process in infer:
        process.suspend()
    try:
        held, seconds = asyncio.run(_hold_and_upload(service, contents))
    finally:
        for process in infer:
            process.resume()
    print(f"\nwith {held} waiting     {statistics.median(seconds) * 1000:6.0f} ms for an upload at the median, "
          f"{max(seconds) * 1000:.0f} ms at most of {len(seconds)}")  # fmt: skip
    assert held == WAITING


async def _hold_and_upload(service: Service, contents: list[bytes]) -> tuple[int, list[float]]:
    token = clients.token(service)
    limits = httpx.Limits(max_connections=WAITING + 10)
    async with httpx.AsyncClient(
        base_url=service.url, timeout=120, limits=limits, headers={"Authorization": f"Token {token}"}
    ) as api:
        urls = [(await api.post("/api/v1/images/", files={"file": ("a.jpeg", content)})).json()["url"]
                for content in contents[:10]]  # fmt: skip
        tasks = [asyncio.create_task(api.get(urls[i % 10], params={"wait": 30})) for i in range(WAITING)]
        await asyncio.sleep(5)
        seconds = []
        for content in contents[:20]:
            started = time.perf_counter()
            response = await api.post("/api/v1/images/", files={"file": ("b.jpeg", content)})
            seconds.append(time.perf_counter() - started)
            assert response.status_code == 202
        held = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return held, seconds


def test_one_image_through_the_page(service: Service, contents: list[bytes], tmp_path: Path) -> None:
    """From choosing a file on the page to its result on the screen."""
    from playwright.sync_api import sync_playwright

    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        for number, content in enumerate(
            contents[:5]
        ):  # different files: the page asks before it sends the same one again
            chest = tmp_path / f"{number}.jpeg"
            chest.write_bytes(content)
            page.goto(service.url)
            started = time.perf_counter()
            page.set_input_files("#files", chest)
            page.locator(".figure strong").wait_for()
            seconds.append(time.perf_counter() - started)
        browser.close()
    print(f"\nthrough the page     {statistics.median(seconds):6.2f} s at the median, {max(seconds):.2f} s at most")
