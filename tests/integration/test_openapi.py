"""Schemathesis makes requests of the OpenAPI document, and checks that each is answered as the document says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import clients
from tests.service import ROOT, Service

pytestmark = pytest.mark.integration

#: As a guest, and as a user with a token.
WHO = ["guest", "user"]


def run(service: Service, folder: Path, who: str, seed: int, examples: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("st")
    token = ["--header", f"Authorization: Token {clients.token(service)}"] if who == "user" else []
    return subprocess.run(
        [str(program), "--config-file", str(ROOT / "schemathesis.toml"), "run", f"{service.url}/api/schema/",
         "--no-color", "--workers", "1", "--seed", str(seed), "--max-examples", str(examples), *token],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "who", [pytest.param(WHO[0], marks=pytest.mark.long), pytest.param(WHO[1], marks=pytest.mark.fuzz)]
)
def test_answers_are_as_the_document_says(service: Service, tmp_path: Path, who: str) -> None:
    done = run(service, tmp_path, who, seed=1, examples=3)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.fuzz
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_answers_are_as_the_document_says_for_many_requests(
    service: Service, tmp_path: Path, who: str, seed: int
) -> None:
    done = run(service, tmp_path, who, seed, examples=40)
    print("\n".join(done.stdout.splitlines()[-25:]))
    assert done.returncode == 0, done.stdout[-6000:]
