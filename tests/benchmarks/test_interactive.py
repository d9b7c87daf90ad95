"""How long a person waits for one image, on an idle machine and while a study of 1,000 images is read."""

import os
import time

import httpx
import numpy as np
import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = pytest.mark.benchmark

ALONE, DURING_STUDY, BULK = 30, 30, 1000
#: Most seconds that a batch of the study may add to a person's wait, on a machine that does nothing else.
MAX_DELAY = 0.5
#: Images of the study that are read before a person sends one, so that batches have their usual size.
READ = 20


def test_a_study_hardly_delays_single_images(service: Service, contents: list[bytes]) -> None:
    with clients.admin(service) as api:
        idle = [seconds(api, content) for content in contents[:ALONE]]
        # Different files, because a file that was sent before is not read again.
        packed = synthetic.zip_of(
            {f"{n}.jpeg": synthetic.xray_jpeg(n % 20) + bytes([n % 256, n // 256]) for n in range(BULK)}
        )
        study = api.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}).raise_for_status().json()["url"]
        while api.get(study).json()["counts"]["succeeded"] < READ:
            time.sleep(1)
        during_study = [seconds(api, content) for content in contents[:DURING_STUDY]]
        status = api.get(study).json()
        unread = status["total"] - status["counts"]["succeeded"]
        api.post(f"{study}cancel/").raise_for_status()
    print(f"\nload {os.getloadavg()[0]:.1f}; {unread} of the study's images were not read yet")
    for name, times in (("idle", idle), (f"while {BULK} images of a study are read", during_study)):
        p50, p95, p99 = np.percentile(times, (50, 95, 99))
        print(f"  {name:38} p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s")
    assert unread > 0
    assert np.percentile(during_study, 95) < np.percentile(idle, 95) + MAX_DELAY


def seconds(api: httpx.Client, content: bytes) -> float:
    """Seconds from the upload of an image until the client has its result."""
    started = time.perf_counter()
    result = clients.wait_final(api, clients.upload(api, content).json()["url"])
    assert result["status"] == "succeeded"
    return time.perf_counter() - started
