"""Several first requests for the API's description at once."""

import subprocess
import sys
from pathlib import Path

import pytest

#: In a process of its own, since the faults come with the first request only.
SCRIPT = """
import sys
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from django.test import Client
Client().get("/healthz")  # of which all middleware is made, one after the other
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(4) as pool:
    asked = [pool.submit(Client(raise_request_exception=False).get, "/api/schema/") for _ in range(4)]
print(*[answer.result().status_code for answer in asked])
"""


@pytest.mark.long
def test_each_first_request_gets_the_description() -> None:
    root = Path(__file__).resolve().parents[2]
    answered = subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True)
    assert answered.stdout.split() == ["200"] * 4, answered.stderr[-2000:]
