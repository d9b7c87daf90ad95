"""What happens before the programs start. The start itself is tested with the whole service."""

import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compose.local import config as configuration
from compose.local import programs, resources, run
from compose.local.config import Config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name in ("PORT", "FLOWER_PORT"):
        monkeypatch.setenv(name, str(resources.free_port()))
    for name in ("SECRET_KEY", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADMIN_PASSWORD", "only-for-ensure-admin")
    return configuration.read()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """The management commands that were run, with a copy of their environment."""
    done: list[tuple[str, dict[str, str]]] = []

    def record(command: list[str], *, env: dict[str, str], check: bool, **_: Any) -> None:
        assert command[1] == "manage.py"
        assert check
        done.append((command[2], dict(env)))

    monkeypatch.setattr(subprocess, "run", record)
    return done


def test_the_database_is_prepared_in_order(config: Config, commands: list[tuple[str, dict[str, str]]]) -> None:
    run.prepare(config)
    assert [name for name, _ in commands] == ["migrate", "collectstatic", "ensure_admin", "forget_workers"]
    assert dict(commands)["ensure_admin"]["ADMIN_PASSWORD"] == "only-for-ensure-admin"


def test_the_programs_environment(config: Config, commands: list[tuple[str, dict[str, str]]]) -> None:
    environment = run.prepare(config)
    assert environment["DATA_DIR"] == str(config.data_dir)
    assert environment["PATH"] == os.environ["PATH"]
    assert "ADMIN_PASSWORD" not in environment
    password = (config.secrets_dir / "redis").read_text().strip()
    assert environment["REDIS_URL"].startswith(f"redis://:{password}@127.0.0.1:")
    port = environment["REDIS_URL"].rsplit(":", 1)[1].removesuffix("/0")
    conf = programs.redis_conf_path(config)
    assert {f"requirepass {password}", f"port {port}"} <= set(conf.read_text().splitlines())
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    assert environment["FLOWER_BASIC_AUTH"] == "admin:" + (config.secrets_dir / "flower").read_text().strip()
    secrets = {environment["SECRET_KEY"], password, environment["FLOWER_BASIC_AUTH"].removeprefix("admin:")}
    assert {len(secret) for secret in secrets} == {43}
    assert len(secrets) == 3


def test_secrets_stay_and_counters_do_not(config: Config, commands: list[tuple[str, dict[str, str]]]) -> None:
    first = run.prepare(config)
    (programs.metrics_dir(config) / "counter_1.db").write_text("old")
    again = run.prepare(config)
    for name in ("SECRET_KEY", "FLOWER_BASIC_AUTH"):
        assert again[name] == first[name]
    assert list(programs.metrics_dir(config).iterdir()) == []


def test_an_operators_key_is_used(
    config: Config, commands: list[tuple[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "chosen")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/0")
    environment = run.prepare(config)
    assert environment["SECRET_KEY"] == "chosen"
    assert "127.0.0.1" in environment["REDIS_URL"], "this Redis is what is started"


def test_a_second_start_says_that_there_is_a_first(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    resources.private_dir(config.run_dir)
    with resources.lock(config.run_dir / "lock"):
        assert run.main() == 2
    assert f"already runs on {config.data_dir}" in capsys.readouterr().err


def test_a_taken_port_is_told_before_anything_is_made(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind((resources.LOOPBACK, config.flower_port))
        other.listen()
        assert run.main() == 2
    assert f"FLOWER_PORT={config.flower_port + 1} make run" in capsys.readouterr().err
    assert not config.secrets_dir.exists()


def test_a_bad_setting_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "http")
    assert run.main() == 2
    assert capsys.readouterr().err == "PORT=http is no port number; use one from 1 to 65535.\n"


def test_a_preparation_that_fails_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str], **_: Any) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", fail)
    assert run.main() == 1
    assert "manage.py migrate" in capsys.readouterr().err
    resources.lock(config.run_dir / "lock").close()
