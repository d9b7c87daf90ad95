"""The first requests for the OpenAPI description, several at once."""

import subprocess
import sys
from pathlib import Path

import pytest

#: Runs in a separate process, since the bug occurred only on the first request.
SCRIPT = """
import sys
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from django.test import Client
Client().get("/healthz")  # loads all middleware before the threads start
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(4) as pool:
    futures = [pool.submit(Client(raise_request_exception=False).get, "/api/schema/") for _ in range(4)]
print(*[future.result().status_code for future in futures])
"""


@pytest.mark.long
def test_simultaneous_first_requests_all_get_the_description() -> None:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True)
    assert process.stdout.split() == ["200"] * 4, process.stderr[-2000:]
