"""The workers run without the packages that only the web process needs, without TensorFlow, and without decoders if
they prepare no images.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, bundle

WEB_ONLY = (
    "allauth", "argon2", "axes", "django_htmx", "django_prometheus", "drf_spectacular",
    "flower", "gunicorn", "rest_framework", "uvicorn", "whitenoise",
)  # fmt: skip
#: Makes every import of a package above fail, then does what a worker does at its start.
SCRIPT = f"""
import sys
for name in {WEB_ONLY}:
    sys.modules[name] = None
import worker.app
from django.core.management import call_command
call_command("check")
worker.app.app.loader.import_default_modules()
assert "worker.ingest" in worker.app.app.tasks
"""
#: What an infer worker's child does at its start, and what it must not import for that.
LOAD = """
import sys
import worker.app
from worker.infer import reader, startup
startup.check_bundle()
needless = ("tensorflow", "keras", "scipy", "sklearn", "tifffile", "pydicom", "pynetdicom", "highdicom")
print(reader.load().engine.name, [name for name in needless if name in sys.modules])
"""


@pytest.mark.long
def test_a_worker_starts_without_the_web_packages(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "ingest"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_a_worker_reads_without_tensorflow_and_decoders(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "infer", "ENGINE": "mnn",
        "MODEL_BUNDLE": str(bundle()),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "mnn []\n", done.stderr
