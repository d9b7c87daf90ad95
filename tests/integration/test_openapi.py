"""Schemathesis makes requests of the OpenAPI document, and checks that each answer matches the document."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import clients, synthetic
from tests.service import ROOT, Service

pytestmark = pytest.mark.integration

#: As a guest, and as a user with a token.
WHO = ["guest", "user"]


def run(service: Service, folder: Path, who: str, seed: int, examples: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("st")
    # Without its token, each guest request would come from a new guest, who does not see earlier uploads.
    header = f"Authorization: Token {clients.token(service)}" if who == "user" else f"X-Job-Token: {_guest(service)}"
    return subprocess.run(
        [str(program), "--config-file", str(ROOT / "schemathesis.toml"), "run", f"{service.url}/api/schema/",
         "--no-color", "--workers", "1", "--seed", str(seed), "--max-examples", str(examples), "--header", header],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def _failures(output: str) -> str:
    """What went wrong, without the pictures that were sent and without what follows: warnings and totals."""
    found = output.partition("= FAILURES =")[2].partition("= WARNINGS =")[0] or output
    return "\n".join(line[:600] for line in found.splitlines())


def _guest(service: Service) -> str:
    return str(clients.upload(clients.client(service), synthetic.xray_jpeg()).raise_for_status().json()["token"])


@pytest.mark.parametrize(
    "who", [pytest.param(WHO[0], marks=pytest.mark.long), pytest.param(WHO[1], marks=pytest.mark.fuzz)]
)
def test_answers_are_as_the_document_says(service: Service, tmp_path: Path, who: str) -> None:
    done = run(service, tmp_path, who, seed=1, examples=3)
    assert done.returncode == 0, _failures(done.stdout)


@pytest.mark.fuzz
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_answers_are_as_the_document_says_for_many_requests(
    service: Service, tmp_path: Path, who: str, seed: int
) -> None:
    done = run(service, tmp_path, who, seed, examples=40)
    print("\n".join(done.stdout.splitlines()[-25:]))
    assert done.returncode == 0, _failures(done.stdout)
