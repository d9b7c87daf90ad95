"""The cost of storing files and commits such that they survive a power cut, compared in one run.

The disk decides, so run it on the disk in question:
``pytest -m benchmark -s tests/benchmarks/test_durability.py --basetemp=FOLDER``.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from tests import synthetic
from tests.power_cut import service
from tests.service import ROOT
from webapp.storage.folder import LocalStorage

pytestmark = pytest.mark.benchmark
CONTENT = os.urandom(200_000)
ROUNDS = 5

UPLOADS = """
import sys, time
from uuid import uuid4
from tests.power_cut import service
service.setup()
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from tests import synthetic
from webapp.accounts.identity import Identity
from webapp.storage.folder import LocalStorage
from webapp.studies.services import uploads
from worker import tasks
from webapp.studies.models import Image
if sys.argv[1] == "neither synced":
    LocalStorage._finish = lambda self, files: [__import__("os").replace(*names) for names in files]
tasks.app.send_task = lambda *_, **__: None
with connection.cursor() as cursor:
    cursor.execute(f"PRAGMA synchronous={sys.argv[2]}")
content = synthetic.xray_jpeg(1)
def timed(work, items):
    started = time.perf_counter()
    results = [work(item) for item in items]
    return len(results) / (time.perf_counter() - started), results
guest = Identity(guest=uuid4())
upload = lambda n: uploads.create_image(guest, SimpleUploadedFile(f"{n}.jpg", content), filename=f"{n}.jpg")
upload(0)
rate, images = timed(upload, range(60))
prepared, _ = timed(lambda image: tasks.ingest(str(image.pk)), images)
assert Image.objects.filter(status="ready").count() == 60
print(rate, prepared)
"""


def milliseconds(save: Callable[[list[str]], None], count: int) -> float:
    """Milliseconds for each file: the median of several rounds."""
    times = []
    for _ in range(ROUNDS):
        names = [f"uploads/{name[:2]}/{name}.jpg" for name in (uuid4().hex for _ in range(count))]
        started = time.perf_counter()
        save(names)
        times.append((time.perf_counter() - started) / count * 1000)
    return statistics.median(times)


def test_saving_files(tmp_path: Path) -> None:
    """Compare Django's storage, which syncs nothing, to syncing files one by one and in batches."""
    plain = FileSystemStorage(location=str(tmp_path / "plain"), allow_overwrite=True)
    durable = LocalStorage(location=str(tmp_path / "durable"), allow_overwrite=True)

    def one_by_one(storage: FileSystemStorage) -> Callable[[list[str]], None]:
        return lambda names: [storage.save(name, ContentFile(CONTENT)) for name in names] and None

    def together(names: list[str]) -> None:
        with durable.batch():
            one_by_one(durable)(names)

    for storage in (plain, durable):
        one_by_one(storage)([f"uploads/{number:02x}/first.jpg" for number in range(256)])
    print("\nms a file of 200 kB:   not synced  one by one  in a batch")
    for count in (1, 20, 200):
        print(f"{count:>9} files          {milliseconds(one_by_one(plain), count):10.2f}  "
              f"{milliseconds(one_by_one(durable), count):10.2f}  {milliseconds(together, count):10.2f}")  # fmt: skip


def test_uploads_and_preparation(tmp_path: Path) -> None:
    """One process accepts uploads and prepares them, with SQLite; the settings take turns."""
    modes = {
        "neither synced": ("neither synced", "NORMAL"),
        "files synced, NORMAL": ("synced", "NORMAL"),
        "files synced, FULL": ("synced", "FULL"),
    }
    rates: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes}
    for turn in range(3):
        for mode, arguments in modes.items():
            folder = tmp_path / f"{turn} {mode}"
            for name in ("media", "incoming"):
                (folder / name).mkdir(parents=True)
            environment = {**service.prepare(folder), "LOG_LEVEL": "ERROR"}
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            command = [sys.executable, "-W", "ignore", "-c", UPLOADS, *arguments]
            completed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert completed.returncode == 0, completed.stderr
            first, second = completed.stdout.split()[-2:]
            rates[mode].append((float(first), float(second)))
    print(f"\none process, a JPEG of {len(synthetic.xray_jpeg(1)) // 1000} kB:   uploads/s  prepared/s")
    for mode, pairs in rates.items():
        uploads, prepared = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{mode:<32} {uploads:12.1f} {prepared:11.1f}")
