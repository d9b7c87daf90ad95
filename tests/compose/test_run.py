"""What the launcher does before and after the programs run. Other tests start the whole service."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compose.local import announce, certificates, programs, ready, resources, run, stopping
from compose.local import config as configuration
from compose.local.config import ROOT, Config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name in ("PORT", "FLOWER_PORT"):
        monkeypatch.setenv(name, str(resources.free_port()))
    for name in ("SECRET_KEY", "REDIS_URL", "HOST", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADMIN_PASSWORD", "only-for-ensure-admin")
    return configuration.read()


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Replace the preparation of the database, and record the environment of each call."""
    environments: list[dict[str, str]] = []

    def record(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        environments.append(dict(env))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", record)
    return environments


def test_only_the_preparation_gets_the_admins_password(config: Config, prepared: list[dict[str, str]]) -> None:
    assert "ADMIN_PASSWORD" not in run.prepare(config)
    assert [environment["ADMIN_PASSWORD"] for environment in prepared] == ["only-for-ensure-admin"]


def test_the_programs_environment(config: Config, prepared: list[dict[str, str]]) -> None:
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
    assert environment["FLOWER_UPSTREAM"] == f"http://127.0.0.1:{config.flower_port}"
    assert environment["FLOWER_BASIC_AUTH"] == "admin:" + (config.secrets_dir / "flower").read_text().strip()
    secrets = {environment["SECRET_KEY"], password, environment["FLOWER_BASIC_AUTH"].removeprefix("admin:")}
    assert {len(secret) for secret in secrets} == {43}
    assert len(secrets) == 3


def test_a_restart_keeps_secrets_and_deletes_counters(config: Config, prepared: list[dict[str, str]]) -> None:
    first = run.prepare(config)
    (programs.metrics_dir(config) / "counter_1.db").write_text("old")
    again = run.prepare(config)
    for name in ("SECRET_KEY", "FLOWER_BASIC_AUTH"):
        assert again[name] == first[name]
    assert list(programs.metrics_dir(config).iterdir()) == []


def test_an_operators_secret_key_is_used(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "chosen")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/0")
    environment = run.prepare(config)
    assert environment["SECRET_KEY"] == "chosen"
    assert "127.0.0.1" in environment["REDIS_URL"], "the launcher starts its own Redis"


def test_a_second_start_is_refused(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    resources.private_dir(config.run_dir)
    with resources.lock(config.run_dir / "lock"):
        assert run.main() == 2
    assert f"already runs on {config.data_dir}" in capsys.readouterr().err


def test_a_taken_port_is_refused_before_any_file_is_created(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind((resources.LOOPBACK, config.flower_port))
        other.listen()
        assert run.main() == 2
    assert re.search(r"FLOWER_PORT=\d+ make run$", capsys.readouterr().err.strip())
    assert not config.secrets_dir.exists()


def test_a_bad_setting_is_reported(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "http")
    assert run.main() == 2
    assert capsys.readouterr().err == "PORT=http is no port number; use one from 1 to 65535.\n"


@pytest.fixture
def failing(config: Config, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """Let each preparation end with this status and these errors."""

    def fail(status: int, errors: str) -> None:
        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, status, "", errors)

        monkeypatch.setattr(subprocess, "run", run)

    return fail


def test_a_failed_preparation_prints_one_sentence_and_logs_its_errors(
    config: Config, failing: Callable[[int, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(1, "Traceback\n  File x\ndjango.db.utils.OperationalError: connection refused\n")
    assert run.main() == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("connection refused (the start failed")
    assert "Traceback" in (config.logs_dir / "start.log").read_text()
    resources.lock(config.run_dir / "lock").close()


def test_a_preparations_own_sentence_is_printed_alone(
    failing: Callable[[int, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(run.SENTENCE, "There is no such model.\n")
    assert run.main() == 2
    assert capsys.readouterr().err == "There is no such model.\n"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        pytest.param(
            {"OPERATING_POINT": "sideways"},
            r"has no operating point 'sideways'; it has .*screening",
            marks=pytest.mark.long,
        ),
        pytest.param({"MODEL_BUNDLE": "no-such-bundle"}, r"no model bundle 'no-such-bundle'", marks=pytest.mark.long),
        ({"MAX_BATCH": "many"}, r"invalid literal for int"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_refused_before_any_program_starts(
    config: Config, setting: dict[str, str], sentence: str
) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT, env={**os.environ, **setting}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert re.search(sentence, completed.stderr)
    assert not (config.data_dir / "db.sqlite3").exists()


@pytest.mark.parametrize("name", ["DATA_DIR", "HOST"])
def test_an_unusable_folder_or_host_is_refused(name: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    value = {"DATA_DIR": str(tmp_path / "file"), "HOST": "192.0.2.1"}[name]
    completed = subprocess.run(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT, env={**os.environ, name: value}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert completed.returncode == 2
    assert len(completed.stderr.splitlines()) == 1
    assert name in completed.stderr


# --- the host names that the service accepts ------------------------------------------------------------------------


def test_on_loopback_only_local_names_are_allowed(config: Config, prepared: list[dict[str, str]]) -> None:
    environment = run.prepare(config)
    assert environment["ALLOWED_HOSTS"].split(",") == ["localhost", "127.0.0.1", "[::1]"]
    assert not {"SECURE_COOKIES", "TLS_CERTIFICATE", "HSTS_SECONDS"} & set(environment) - set(os.environ)


def test_beyond_loopback_the_machines_own_names_are_allowed(config: Config, prepared: list[dict[str, str]]) -> None:
    public_config = replace(config, host="0.0.0.0")
    environment = run.prepare(public_config)
    assert {"localhost", "127.0.0.1", socket.gethostname()} <= set(environment["ALLOWED_HOSTS"].split(","))
    assert environment["PUBLIC_URL"] == f"https://{socket.gethostname()}:{config.port}"
    assert environment["SECURE_COOKIES"] == "true"
    assert environment["TLS_CERTIFICATE"] == str(public_config.certificate_file)
    assert public_config.certificate_file.exists()


def test_hsts_is_sent_only_with_an_operators_certificate_on_port_443(config: Config) -> None:
    own_certificate = {"certificate": config.certificate_file, "certificate_key": config.key_file}
    seconds = [
        run._hsts_seconds(replace(config, host="0.0.0.0", **changes))
        for changes in ({}, {"port": 443}, own_certificate, {**own_certificate, "port": 443})
    ]
    assert seconds == [0, 0, 0, run.HSTS_SECONDS]


def test_ipv6_addresses_are_allowed_in_the_form_of_urls(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Probe:
        """A socket of a machine with routes for IPv4 and IPv6."""

        def __init__(self, family: int, kind: int) -> None:
            self.address = "2001:db8:7::1" if family == socket.AF_INET6 else "192.168.7.1"

        def __enter__(self) -> "Probe":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, address: tuple[str, int]) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return self.address, 9

    resources.private_dir(config.secrets_dir)
    monkeypatch.setattr(run.resources.socket, "socket", Probe)
    allowed = run._addresses(replace(config, host="::"))["ALLOWED_HOSTS"].split(",")
    assert {"192.168.7.1", "[2001:db8:7::1]", "[::1]"} <= set(allowed)


def test_configured_names_are_added_to_the_local_ones(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "xray.example.org")
    assert {"xray.example.org", "127.0.0.1"} <= set(run.prepare(config)["ALLOWED_HOSTS"].split(","))


# --- readiness ------------------------------------------------------------------------------------------------------


def test_readiness_is_printed_once_with_the_next_steps(
    serve: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve((200, "ok"))
    config = Config(data_dir=tmp_path, port=int(url.rsplit(":", 1)[1]), flower_port=5123)
    watched = ready.Programs(config, run.print_line)
    announce.when_ready(config, watched, lambda: False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ready {url}"
    assert url in lines[1]
    assert f"{url}/queue/" in lines[2]
    assert watched.ready


def test_the_public_address_and_the_certificates_fingerprint_are_printed(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    public_config = replace(config, host="0.0.0.0")
    run.prepare(public_config)
    monkeypatch.setattr(ready, "wait", lambda *_: True)
    announce.when_ready(public_config, ready.Programs(public_config, run.print_line), lambda: False)
    output = capsys.readouterr().out
    assert f"https://{socket.gethostname()}:{config.port}" in output
    assert certificates.fingerprint(public_config.certificate_file) in output
    assert len(output.splitlines()) <= 7


def test_a_new_certificate_is_served_without_a_restart(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    public_config = replace(config, host="0.0.0.0")
    names = run.prepare(public_config)["ALLOWED_HOSTS"].split(",")
    watched = ready.Programs(public_config, run.print_line, pids={"web": 4711})
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    monkeypatch.setattr(run, "WATCH_SECONDS", 0.01)
    stopping = threading.Event()
    watching = threading.Thread(target=run._watch_certificate, args=(public_config, names, watched, stopping))
    watching.start()
    time.sleep(0.1)
    assert signals == []
    public_config.certificate_file.unlink()
    deadline = time.monotonic() + 20
    while not signals and time.monotonic() < deadline:
        time.sleep(0.01)
    stopping.set()
    watching.join()
    assert signals == [(4711, signal.SIGHUP)]
    assert certificates.fingerprint(public_config.certificate_file) in capsys.readouterr().out


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_second_ctrl_c_kills_the_programs_that_the_first_one_waits_for(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(code: str) -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, process_group=0)

    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    supervisord, program = start("import time; time.sleep(60)"), start(stubborn)
    try:
        assert program.stdout
        program.stdout.readline()
        stop = stopping.Stopping(supervisord, ready.Programs(config, run.print_line, pids={"infer": program.pid}))
        stop._signalled(signal.SIGINT, None)
        assert supervisord.wait(20) == -signal.SIGTERM
        stop._signalled(signal.SIGINT, None)  # the same key press, passed on by a wrapper
        assert capsys.readouterr().out == f"{stopping.IN_ORDER}\n"
        monkeypatch.setattr(stopping, "SAME_PRESS", 0)
        stop._signalled(signal.SIGTERM, None)
        assert program.poll() is None
        stop._signalled(signal.SIGINT, None)
        assert program.wait(20) == -signal.SIGKILL
        assert capsys.readouterr().out == f"{stopping.AT_ONCE}\n"
    finally:
        for process in (supervisord, program):
            process.kill()
            process.communicate()


def test_systemd_is_notified_if_it_names_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ready.notify("READY=1")  # without a socket it does nothing
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{folder}/notify")
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        ready.notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
