"""The service refuses to start in production with secrets that are missing or that anybody could guess."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from compose.local.resources import secret
from webapp.config import production

ROOT = Path(__file__).resolve().parents[2]
KEY = "k9Qx-7vLw2ZpRt4NcYb8HjFmDs1GaUe6XoWi3Kz0"
PASSWORD = "b7e1c94f02d86a35"
SAFE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": KEY,
    "DATABASE_URL": f"postgres://service:{PASSWORD}@db/service",
    "REDIS_URL": f"redis://:{PASSWORD}@redis:6379/0",
}


def start(**environment):
    """The error of a process that reads the settings in this environment; empty if it starts."""
    done = subprocess.run(
        [sys.executable, "-c", "import webapp.config.settings"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


def test_it_starts_with_secrets_of_its_own():
    assert start(**SAFE) == ""


def test_development_needs_no_secrets():
    assert start() == ""


def test_all_problems_are_reported_at_once():
    error = start(
        ENVIRONMENT="production", DATABASE_URL="postgres://service@db/service", DEBUG="true", ADMIN_PASSWORD="admin",
        ALLOWED_HOSTS="*",
    )  # fmt: skip
    for words in ("DEBUG", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "without TLS", "make env"):
        assert words in error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SECRET_KEY", "", marks=pytest.mark.long),
        pytest.param("SECRET_KEY", "django-insecure-change-me", marks=pytest.mark.long),
        pytest.param("SECRET_KEY", "0" * 60, marks=pytest.mark.long),
        pytest.param("DATABASE_URL", "postgres://postgres:postgres@db/service", marks=pytest.mark.long),
        pytest.param("DATABASE_URL", "mysql://service@db/service", marks=pytest.mark.long),
        pytest.param("REDIS_URL", "redis://redis:6379/0", marks=pytest.mark.long),
        ("REDIS_URL", "redis://:change-me-123456@redis:6379/0"),
        pytest.param("ADMIN_PASSWORD", "admin", marks=pytest.mark.long),
        pytest.param("DEBUG", "true", marks=pytest.mark.long),
    ],
)
def test_one_missing_or_default_value_is_enough_to_refuse(name, value):
    error = start(**SAFE | {name: value})
    assert "ImproperlyConfigured" in error
    assert name in error
    assert PASSWORD not in error


@pytest.mark.parametrize(
    ("more", "starts"),
    [
        pytest.param({"ALLOWED_HOSTS": "localhost,web"}, True, marks=pytest.mark.long),
        pytest.param({"ALLOWED_HOSTS": "localhost,xray.clinic.example"}, False, marks=pytest.mark.long),
        pytest.param({"ALLOWED_HOSTS": "*"}, False, marks=pytest.mark.long),
        ({"ALLOWED_HOSTS": "xray.clinic.example", "SECURE_COOKIES": "true"}, True),
        ({"ALLOWED_HOSTS": "xray.clinic.example", "ALLOW_PLAIN_HTTP": "true"}, True),
    ],
)
def test_other_hosts_are_not_served_without_tls_unless_the_risk_is_accepted(more, starts):
    error = start(**SAFE | more)
    assert (error == "") == starts
    assert starts or "without TLS" in error


def test_sqlite_needs_no_password():
    assert start(**SAFE | {"DATABASE_URL": "sqlite:////tmp/service.sqlite3"}) == ""


def test_a_secret_may_be_in_a_file(tmp_path):
    (tmp_path / "key").write_text(KEY)
    without = {name: value for name, value in SAFE.items() if name != "SECRET_KEY"}
    assert start(**without, SECRET_KEY_FILE=str(tmp_path / "key")) == ""


def test_commands_use_the_key_that_make_run_stores(tmp_path):
    (tmp_path / "secrets").mkdir()
    key = secret(tmp_path / "secrets" / "django")
    output = subprocess.check_output(
        [sys.executable, "-c", "from webapp.config.settings import SECRET_KEY; print(SECRET_KEY)"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)},
        text=True,
    )
    assert output.strip() == key


def test_an_unknown_environment_is_refused_and_not_taken_for_development():
    with pytest.raises(ImproperlyConfigured, match="use development or production"):
        production.refuse("prod", [])


def test_a_random_secret_may_contain_a_word_by_chance():
    assert not production.is_weak("f3a9root" + PASSWORD)
    assert production.is_weak("rootrootroot1")
