"""The project as a whole: schema of the API and the database, settings, and imports."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.webapp import openapi

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def schema():
    return openapi.document()


def test_the_openapi_schema_is_valid_and_raises_no_warning(tmp_path):
    file = tmp_path / "schema.json"
    call_command("spectacular", validate=True, fail_on_warn=True, format="openapi-json", file=str(file))
    assert json.loads(file.read_text())["openapi"].startswith("3.")


def test_the_schema_names_every_address_of_the_contract(schema):
    contract = {
        "/api/v1/images/": {"get", "post"},
        "/api/v1/images/{id}/": {"get", "patch", "delete"},
        "/api/v1/images/{id}/retry/": {"post"},
        "/api/v1/images/{id}/cancel/": {"post"},
        "/api/v1/images/{id}/preview/": {"get"},
        "/api/v1/images/{id}/original/": {"get"},
        "/api/v1/images/{id}/input/": {"get"},
        "/api/v1/images/{id}/report.pdf": {"get"},
        "/api/v1/images/{id}/heatmap.png": {"get"},
        "/api/v1/studies/": {"get", "post"},
        "/api/v1/studies/{id}/": {"get", "patch", "delete"},
        "/api/v1/studies/{id}/retry/": {"post"},
        "/api/v1/patients/": {"get", "post"},
        "/api/v1/patients/{id}/": {"get", "patch", "delete"},
        "/api/v1/patients/{id}/merge/": {"post"},
        "/api/v1/studies/{id}/images/": {"get"},
        "/api/v1/studies/{id}/results.csv": {"get"},
        "/api/v1/studies/{id}/results.jsonl": {"get"},
        "/api/v1/studies/{id}/cancel/": {"post"},
        "/api/v1/auth/token/": {"post"},
        "/predict": {"post"},
    }
    assert {path: methods & set(schema["paths"].get(path, ())) for path, methods in contract.items()} == contract


@pytest.mark.parametrize("name", ["Image", "Study"])
def test_the_schema_describes_the_responses(client, jpeg, schema, name):
    url = client.upload(jpeg).json()["url"] if name == "Image" else client.upload_study({"a.jpg": jpeg}).json()["url"]
    assert set(schema["components"]["schemas"][name]["properties"]) == set(client.get(url).json())


def test_the_api_page_loads_nothing_from_elsewhere(client):
    page = client.get("/api/docs/")
    assert page.status_code == 200
    html = page.content.decode()
    assert "/api/v1/images/" in html
    assert "https://" not in html
    assert "<script>" not in html  # the content security policy forbids inline scripts


def test_the_migrations_are_complete(db):
    call_command("makemigrations", check=True, dry_run=True, stdout=io.StringIO())


def deploy_check(tmp_path, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "ERROR"],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.long
def test_the_settings_pass_djangos_own_checks_for_deployment(tmp_path):
    checked = deploy_check(tmp_path, SECRET_KEY="k" * 20 + "abcdefghijklmnopqrstuvwxyz0123456789", SECURE_COOKIES="1")
    assert checked.returncode == 0, checked.stderr
    for warning in ("security.W009", "security.W012", "security.W016", "security.W018", "security.W020"):
        assert warning not in checked.stderr


@pytest.mark.long
def test_the_web_process_loads_no_numerical_library(tmp_path):
    """The small image and the start within a second depend on this."""
    code = (
        "import sys, webapp.config.asgi, webapp.config.urls;"
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'PIL', 'ml', 'worker') if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert loaded.stdout.strip().splitlines()[-1:] == ["[]"], loaded.stderr
