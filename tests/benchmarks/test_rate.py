"""Latency at a given rate of uploads: the way to compare versions or engines of different throughput.

``PNEUMOQUEUE_BENCH_RATE`` images a second (4) come for ``PNEUMOQUEUE_BENCH_SECONDS`` (30), whether or not earlier ones
have their results.
"""

import asyncio
import os
import statistics
import time

import httpx
import pytest

from tests import clients
from tests.service import Service

pytestmark = pytest.mark.benchmark

RATE = float(os.environ.get("PNEUMOQUEUE_BENCH_RATE", "4"))
SECONDS = float(os.environ.get("PNEUMOQUEUE_BENCH_SECONDS", "30"))
WARM_UP = 8


def test_latency_at_a_rate(service: Service, contents: list[bytes]) -> None:
    asyncio.run(_send(service, contents, WARM_UP))
    times = asyncio.run(_send(service, contents, int(RATE * SECONDS)))
    print(f"\n{RATE:g} images a second, {len(times)} images")
    for name, seconds in zip(("accepted", "result"), zip(*times, strict=True), strict=True):
        hundredths = statistics.quantiles(seconds, n=100)
        median, high = hundredths[49], hundredths[94]
        print(f"{name:20} {median:.3f} s at the median, {high:.3f} at the 95th percentile, {max(seconds):.3f} at most")


async def _send(service: Service, contents: list[bytes], count: int) -> list[tuple[float, float]]:
    """Send images at the rate. The seconds from the start of each upload to its acceptance, and to its result."""
    headers = {"Authorization": f"Token {clients.token(service)}"}
    limits = httpx.Limits(max_connections=1000)
    async with httpx.AsyncClient(base_url=service.url, timeout=120, limits=limits, headers=headers) as client:

        async def one(number: int) -> tuple[float, float]:
            await asyncio.sleep(number / RATE)
            started = time.perf_counter()
            files = {"file": ("a.jpeg", contents[number % len(contents)])}
            accepted = (await client.post("/api/v1/images/", files=files)).raise_for_status()
            upload_seconds = time.perf_counter() - started
            answer: httpx.Response | None = None
            while answer is None or answer.json()["status"] != "succeeded":
                answer = (await client.get(accepted.json()["url"], params={"wait": 60})).raise_for_status()
                assert answer.json()["status"] not in ("failed", "cancelled"), answer.text
            return upload_seconds, time.perf_counter() - started

        return await asyncio.gather(*map(one, range(count)))
