"""The workers run without the packages that only the web process needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB_ONLY = (
    "allauth", "argon2", "axes", "django_htmx", "django_prometheus", "drf_spectacular", "drf_spectacular_sidecar",
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


@pytest.mark.long
def test_a_worker_starts_without_the_web_packages(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PNEUMOQUEUE_ROLE": "ingest"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
