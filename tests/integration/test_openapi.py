"""Schemathesis generates requests from the OpenAPI document, and checks that each answer matches the document."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import clients, synthetic
from tests.service import ROOT, Service

pytestmark = pytest.mark.integration

#: Requests are sent as a guest, and with the token of a user of each role.
ROLES = ["guest", "user", "reader", "manager", "administrator"]
#: Run in the service: create a user with that role in a department, and print the user's token.
PERSON = """
from django.contrib.auth.models import User
from webapp.accounts import tokens
from webapp.departments.models import Department, Membership, Role
name = {role!r}
user, _ = User.objects.get_or_create(username=f"openapi-{{name}}")
if name in Role.values:
    department, _ = Department.objects.get_or_create(name="OpenAPI", defaults={{"slug": "openapi"}})
    Membership.objects.get_or_create(user=user, department=department, defaults={{"role": name}})
print(tokens.issue(user))
"""


def run(service: Service, folder: Path, role: str, seed: int, examples: int) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("st")
    # Without its token, each guest request would come from a new guest, who does not see earlier uploads.
    header = f"X-Job-Token: {_guest(service)}" if role == "guest" else f"Authorization: Token {_token(service, role)}"
    return subprocess.run(
        [str(program), "--config-file", str(ROOT / "schemathesis.toml"), "run", f"{service.url}/api/schema/",
         "--no-color", "--workers", "1", "--seed", str(seed), "--max-examples", str(examples), "--header", header],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def _failures(output: str) -> str:
    """The failures in schemathesis' output, without pictures that were sent, warnings and totals."""
    failures = output.partition("= FAILURES =")[2].partition("= WARNINGS =")[0] or output
    return "\n".join(line[:600] for line in failures.splitlines())


def _token(service: Service, role: str) -> str:
    if role == "administrator":
        return clients.token(service)
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", PERSON.format(role=role)]
    environment = {**os.environ, "DATA_DIR": str(service.data_dir)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def _guest(service: Service) -> str:
    return str(clients.upload(clients.client(service), synthetic.xray_jpeg()).raise_for_status().json()["token"])


@pytest.mark.long
def test_answers_match_the_document(service: Service, tmp_path: Path) -> None:
    completed = run(service, tmp_path, "guest", seed=1, examples=3)
    assert completed.returncode == 0, _failures(completed.stdout)


@pytest.mark.fuzz
@pytest.mark.parametrize(("seed", "role"), list(enumerate(ROLES, 2)))
def test_answers_to_many_requests_match_the_document(service: Service, tmp_path: Path, role: str, seed: int) -> None:
    completed = run(service, tmp_path, role, seed, examples=30)
    print("\n".join(completed.stdout.splitlines()[-25:]))
    assert completed.returncode == 0, _failures(completed.stdout)
