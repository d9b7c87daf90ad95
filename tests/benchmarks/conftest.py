"""What benchmarks of the whole service share."""

import os
import platform
import statistics

import pytest

from tests import synthetic
from tests.conftest import DATA

IMAGES = 200


@pytest.fixture(scope="session")
def contents() -> list[bytes]:
    """X-rays at full resolution: real ones where there are any, else synthesised ones, each several times."""
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    some = [file.read_bytes() for file in files] or [synthetic.xray_jpeg(seed, (1300, 1000)) for seed in range(30)]
    print(f"\n{platform.machine()}, {os.cpu_count()} processors, {len(some)} different images, "
          f"{'real' if files else 'synthesised'}, {statistics.mean(map(len, some)) / 1024:.0f} kB each")  # fmt: skip
    return (some * (IMAGES // len(some) + 1))[:IMAGES]
