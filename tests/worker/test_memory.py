"""An image that takes too much memory fails alone, in a process that may use no more than its container has."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import synthetic
from tests.service import ROOT, bundle
from worker.ingest import memory

#: Memory for each of the two children in worker-ingest's container of 1 GB; their parent has 100 MB.
CHILD_BYTES = 450 * 2**20

CHILD = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "webapp.config.workers"
import django
django.setup()
from django.conf import settings
from ml.errors import ImageError
from webapp.studies.models import Image
from worker.ingest import memory, preparing
preparing.models()
memory.limit(int(sys.argv[1]))
codes = []
for name in sys.argv[2:]:
    try:
        prepared = preparing.prepare(Image(file=name))
        codes.append(f"{prepared.width}x{prepared.height}")
    except ImageError as error:
        codes.append(error.code)
# Not ru_maxrss, which a process inherits from the one that started it.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([codes, int(status["VmHWM"].split()[0]) * 1024]))
"""


def prepare_all(tmp_path: Path, limit: int, files: dict[str, bytes]) -> tuple[list[str], int]:
    """Prepare files one after the other in one process. Return the outcomes, and the peak memory in bytes."""
    (tmp_path / "media").mkdir()
    for name, content in files.items():
        (tmp_path / "media" / name).write_bytes(content)
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "ingest", "MODEL_BUNDLE": str(bundle())}
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), *files], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    codes, largest = json.loads(process.stdout)
    return codes, largest


@pytest.mark.long
def test_hostile_files_fail_alone_with_their_code(tmp_path: Path, settings: Any) -> None:
    codes, largest = prepare_all(tmp_path, settings.PREPARE_MEMORY_BYTES, {
        "16bit.png": synthetic.bomb_png(10_000, "I;16"),
        "rgba.png": synthetic.bomb_png(10_000, "RGBA"),
        "bilevel.png": synthetic.bomb_png(30_000),
        "good.jpg": synthetic.xray_jpeg(),
    })  # fmt: skip
    assert codes == ["image_too_large", "image_too_large", "image_too_large", "900x700"]
    assert largest < CHILD_BYTES / 2


@pytest.mark.long
def test_the_largest_accepted_images_fit_into_the_memory(tmp_path: Path, settings: Any) -> None:
    codes, largest = prepare_all(tmp_path, settings.PREPARE_MEMORY_BYTES, {
        "16bit.png": synthetic.bomb_png(9_400, "I;16"),
        "rgba.png": synthetic.bomb_png(7_300, "RGBA"),
        "grey.png": synthetic.bomb_png(10_000, "L"),
    })  # fmt: skip
    assert codes == ["9400x9400", "7300x7300", "10000x10000"]
    assert largest < CHILD_BYTES


@pytest.mark.long
def test_an_image_beyond_the_memory_limit_fails_and_the_process_goes_on(tmp_path: Path) -> None:
    codes, _ = prepare_all(tmp_path, 64 * 2**20, {
        "large.png": synthetic.bomb_png(6_000, "RGBA"),
        "good.jpg": synthetic.xray_jpeg(),
        "large16.png": synthetic.bomb_png(8_000, "I;16"),
        "good.png": synthetic.xray_png(),
    })  # fmt: skip
    assert codes == ["out_of_memory", "900x700", "out_of_memory", "900x700"]


@pytest.mark.parametrize(("role", "limited"), [("ingest", True), ("bulk", True), ("infer", False), ("deliver", False)])
def test_the_processes_that_prepare_images_have_a_limit(
    role: str, limited: bool, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: limits.append((kind, limit)))
    settings.WORKER_ROLE = role
    memory._limit()
    assert bool(limits) == limited
    if limited:
        (kind, (soft, _)) = limits[0]
        assert kind == resource.RLIMIT_DATA
        assert 0 < soft - settings.PREPARE_MEMORY_BYTES < 2**31
