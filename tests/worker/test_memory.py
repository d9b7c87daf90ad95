"""An image that takes too much memory fails alone, in a process that has no more than a container gives it."""

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

#: Of the 1 GB that worker-ingest's container has, for each of its two children; 100 MB are its parent's.
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
# Not ru_maxrss, which a process begins with from the one that started it.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([codes, int(status["VmHWM"].split()[0]) * 1024]))
"""


def prepare_all(tmp_path: Path, limit: int, files: dict[str, bytes]) -> tuple[list[str], int]:
    """What became of files that one process prepared one after the other, and its largest size in bytes."""
    (tmp_path / "media").mkdir()
    for name, content in files.items():
        (tmp_path / "media" / name).write_bytes(content)
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "ingest", "MODEL_BUNDLE": str(bundle())}
    made = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), *files], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    codes, largest = json.loads(made.stdout)
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
def test_the_largest_that_are_accepted_fit_into_the_memory(tmp_path: Path, settings: Any) -> None:
    codes, largest = prepare_all(tmp_path, settings.PREPARE_MEMORY_BYTES, {
        "16bit.png": synthetic.bomb_png(9_400, "I;16"),
        "rgba.png": synthetic.bomb_png(7_300, "RGBA"),
        "grey.png": synthetic.bomb_png(10_000, "L"),
    })  # fmt: skip
    assert codes == ["9400x9400", "7300x7300", "10000x10000"]
    assert largest < CHILD_BYTES


@pytest.mark.long
def test_what_takes_more_than_the_process_may_have_fails_and_the_process_goes_on(tmp_path: Path) -> None:
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
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.append((what, limit)))
    settings.WORKER_ROLE = role
    memory._limit()
    assert bool(limits) == limited
    if limited:
        (what, (soft, _)) = limits[0]
        assert what == resource.RLIMIT_DATA
        assert 0 < soft - settings.PREPARE_MEMORY_BYTES < 2**31
