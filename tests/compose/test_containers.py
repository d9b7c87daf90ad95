"""The containers' files, as far as they can be tested without an engine."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from compose import health

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
#: Services that run images of other projects, which choose their users themselves.
FOREIGN = {"db", "prometheus", "grafana"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return parsed


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?[A-Z0-9_]+=", line))


# --- docker-compose.yml ---------------------------------------------------------------------------------------------


def test_every_service_has_limits_a_bounded_log_and_no_extra_rights(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service.get("cpus") or name.startswith("worker-infer-gpu"), name
        assert service["logging"]["options"]["max-size"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] or name == "db", name


def test_servers_have_health_checks_and_start_after_their_dependencies(services: dict[str, Any]) -> None:
    for name in ("proxy", "db", "redis", "s3", "prometheus", "grafana"):
        assert services[name]["healthcheck"]["test"], name  # the project's own images define theirs
    for name in ("web", "worker-infer", "worker-infer-gpu", "worker-ingest", "worker-bulk", "worker-deliver", "beat"):
        conditions = {dependency: options["condition"] for dependency, options in services[name]["depends_on"].items()}
        assert conditions["migrate"] == "service_completed_successfully", name
        assert conditions["db"] == conditions["redis"] == "service_healthy", name
    assert services["migrate"]["restart"] == "no"


def test_each_gpu_service_has_a_gpu_and_a_profile_of_its_own(services: dict[str, Any]) -> None:
    gpus = {name: service for name, service in services.items() if name.startswith("worker-infer-gpu")}
    ids = [service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for service in gpus.values()]
    assert ids == [["0"], ["1"], ["2"], ["3"]]
    assert [service["profiles"] for service in gpus.values()] == [["gpu"], ["gpu-1"], ["gpu-2"], ["gpu-3"]]
    first = gpus["worker-infer-gpu"]
    for service in gpus.values():
        assert {**service, "deploy": first["deploy"], "profiles": first["profiles"]} == first
    [prometheus] = [
        job["dns_sd_configs"][0]["names"]
        for job in yaml.safe_load((ROOT / "compose" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
        if job["job_name"] == "worker-infer"
    ]
    assert set(prometheus) == {"worker-infer", *gpus}


def test_no_secret_has_a_default() -> None:
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        uses = re.findall(r"\$\{" + name + r":(.*?)\}", COMPOSE)
        assert uses
        assert all(use.startswith("?") for use in uses), name
        assert example()[name] == ""


def test_only_the_service_that_creates_the_admin_has_their_password(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ADMIN_PASSWORD" in service.get("environment", {})] == [
        "migrate"
    ]


def test_every_variable_of_the_example_is_used() -> None:
    read = COMPOSE + (ROOT / "compose" / "tls.yml").read_text()
    by_compose_itself = {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PROFILES"}
    for name in example().keys() - by_compose_itself:
        assert f"${{{name}:" in read, name


def test_the_images_have_the_version_of_this_release() -> None:
    assert example()["VERSION"] == settings.VERSION
    assert set(re.findall(r"\$\{VERSION:-(.*?)\}", COMPOSE)) == {settings.VERSION}


def test_the_defaults_equal_those_of_the_settings(services: dict[str, Any]) -> None:
    defaults = dict(re.findall(r"^ +([A-Z_]+): \$\{\1:-(.*)\}$", COMPOSE, re.MULTILINE))
    numbers = (
        "MAX_BATCH", "MAX_IMAGE_BYTES", "MAX_STUDY_BYTES", "MAX_STUDY_FILES", "BATCH_TIME_LIMIT",
        "DICOM_PROCESSES", "DICOM_ASSOCIATIONS", "DICOM_SILENT_SECONDS", "DICOM_QUIET_SECONDS",
    )  # fmt: skip
    for name in numbers:
        assert int(defaults[name]) == getattr(settings, name), name
    for name in ("MAX_IMAGE_BYTES", "MAX_STUDY_BYTES"):
        assert services["proxy"]["environment"][name] == services["web"]["environment"][name]


# --- the images -----------------------------------------------------------------------------------------------------


def test_no_secret_is_copied_into_an_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert not any(name.startswith((".env", ".git", "var", "tests")) for name in allowed)
    assert all((ROOT / name).exists() for name in allowed)


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "compose").mkdir()
    shutil.copy(ROOT / "compose" / "make-env.sh", tmp_path / "compose")
    shutil.copy(ROOT / ".env.example", tmp_path)
    return tmp_path


def make_env(clone: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", "compose/make-env.sh"], cwd=clone, capture_output=True, text=True, check=False)


def test_all_secrets_are_created_and_only_their_owner_can_read_them(clone: Path) -> None:
    completed = make_env(clone)
    assert completed.returncode == 0, completed.stderr
    assert (clone / ".env").stat().st_mode & 0o777 == 0o600
    variables = dict(
        line.split("=", 1) for line in (clone / ".env").read_text().splitlines() if re.match("[A-Z]", line)
    )
    secrets = [value for name, value in variables.items() if re.search("PASSWORD|KEY", name)]
    assert len(secrets) == len(set(secrets)) == 7
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in secrets)
    assert not any(secret in completed.stdout + completed.stderr for secret in secrets)
    assert sorted(path.name for path in clone.iterdir()) == [".env", ".env.example", "compose"]


def test_existing_secrets_are_kept(clone: Path) -> None:
    (clone / ".env").write_text("SECRET_KEY=mine\n")
    assert make_env(clone).returncode == 1
    assert (clone / ".env").read_text() == "SECRET_KEY=mine\n"


# --- health ---------------------------------------------------------------------------------------------------------


def test_a_file_is_healthy_while_it_is_new(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert "not there" in (health.problem(str(file)) or "")
    file.touch()
    assert health.problem(str(file)) is None
    os.utime(file, (0, time.time() - health.MAX_AGE - 1))
    assert "last renewed" in (health.problem(str(file)) or "")


def test_a_url_is_healthy_if_it_answers(serve: Callable[..., str]) -> None:
    assert health.problem(serve((200, "ok")) + "/readyz") is None
    assert "503" in (health.problem(serve((503, "not yet")) + "/readyz") or "")
    assert "refused" in (health.problem("http://127.0.0.1:1/readyz") or "")
