"""How long a person waits for one image, on an idle machine and while a study of 1,000 images is read."""

import os
import time

import httpx
import numpy as np
import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = pytest.mark.benchmark

ALONE, MEANWHILE, BULK = 30, 30, 1000
#: Seconds that a batch of the study may make a person wait for, on a machine that has nothing else to do.
LATER = 0.5
#: So many of the study's images are read before a person sends one: batches have their usual size then.
READ = 20


def test_a_person_hardly_waits_for_a_study(service: Service, contents: list[bytes]) -> None:
    with clients.admin(service) as by:
        idle = [seconds(by, content) for content in contents[:ALONE]]
        # Different files: what was sent before needs no second reading.
        packed = synthetic.zip_of(
            {f"{n}.jpeg": synthetic.xray_jpeg(n % 20) + bytes([n % 256, n // 256]) for n in range(BULK)}
        )
        study = by.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}).raise_for_status().json()["url"]
        while by.get(study).json()["counts"]["succeeded"] < READ:
            time.sleep(1)
        meanwhile = [seconds(by, content) for content in contents[:MEANWHILE]]
        found = by.get(study).json()
        left = found["total"] - found["counts"]["succeeded"]
        by.post(f"{study}cancel/").raise_for_status()
    print(f"\nload {os.getloadavg()[0]:.1f}; {left} of the study's images were left")
    for name, times in (("idle", idle), (f"while {BULK} images of a study are read", meanwhile)):
        p50, p95, p99 = np.percentile(times, (50, 95, 99))
        print(f"  {name:38} p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s")
    assert left > 0
    assert np.percentile(meanwhile, 95) < np.percentile(idle, 95) + LATER


def seconds(by: httpx.Client, content: bytes) -> float:
    """From the upload of an image to its result in the client's hand."""
    started = time.perf_counter()
    result = clients.wait_final(by, clients.upload(by, content).json()["url"])
    assert result["status"] == "succeeded"
    return time.perf_counter() - started
