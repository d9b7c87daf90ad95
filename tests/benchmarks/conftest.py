"""Fixtures of the benchmarks of the whole service."""

import os
import platform
import statistics

import pytest

from tests import synthetic
from tests.conftest import DATA

IMAGES = 200


@pytest.fixture(scope="session")
def contents() -> list[bytes]:
    """X-rays at full resolution, real if the data set is available, otherwise synthetic; each occurs several times."""
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    distinct = [file.read_bytes() for file in files] or [synthetic.xray_jpeg(seed, (1300, 1000)) for seed in range(30)]
    print(f"\n{platform.machine()}, {os.cpu_count()} processors, {len(distinct)} different images, "
          f"{'real' if files else 'synthetic'}, {statistics.mean(map(len, distinct)) / 1024:.0f} kB each")  # fmt: skip
    return (distinct * (IMAGES // len(distinct) + 1))[:IMAGES]
