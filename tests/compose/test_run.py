"""What happens before the programs start. The start itself is tested with the whole service."""

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
    """Environments with which the database would have been prepared."""
    done: list[dict[str, str]] = []

    def record(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        done.append(dict(env))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", record)
    return done


def test_only_the_preparation_has_the_admins_password(config: Config, prepared: list[dict[str, str]]) -> None:
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


def test_secrets_stay_and_counters_do_not(config: Config, prepared: list[dict[str, str]]) -> None:
    first = run.prepare(config)
    (programs.metrics_dir(config) / "counter_1.db").write_text("old")
    again = run.prepare(config)
    for name in ("SECRET_KEY", "FLOWER_BASIC_AUTH"):
        assert again[name] == first[name]
    assert list(programs.metrics_dir(config).iterdir()) == []


def test_an_operators_key_is_used(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
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


def test_a_taken_port_is_refused_before_anything_is_made(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
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
    """Have each preparation end with this status and these errors."""

    def fail(status: int, errors: str) -> None:
        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(command, status, "", errors)

        monkeypatch.setattr(subprocess, "run", run)

    return fail


def test_a_preparation_that_fails_is_one_sentence_and_its_errors_are_kept(
    config: Config, failing: Callable[[int, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(1, "Traceback\n  File x\ndjango.db.utils.OperationalError: connection refused\n")
    assert run.main() == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("connection refused (the start failed")
    assert "Traceback" in (config.logs_dir / "start.log").read_text()
    resources.lock(config.run_dir / "lock").close()


def test_only_the_sentence_of_a_failed_preparation_is_printed(
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
def test_what_cannot_work_is_refused_before_anything_starts(
    config: Config, setting: dict[str, str], sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT, env={**os.environ, **setting}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert re.search(sentence, done.stderr)
    assert not (config.data_dir / "db.sqlite3").exists()


@pytest.mark.parametrize("name", ["DATA_DIR", "HOST"])
def test_a_place_that_is_no_good_is_refused(name: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    value = {"DATA_DIR": str(tmp_path / "file"), "HOST": "192.0.2.1"}[name]
    done = subprocess.run(
        [sys.executable, "-m", "compose.local.run"],
        cwd=ROOT, env={**os.environ, name: value}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr


# --- the names that the service answers to --------------------------------------------------------------------------


def test_on_loopback_the_local_names_are_enough(config: Config, prepared: list[dict[str, str]]) -> None:
    environment = run.prepare(config)
    assert environment["ALLOWED_HOSTS"].split(",") == ["localhost", "127.0.0.1", "[::1]"]
    assert not {"SECURE_COOKIES", "TLS_CERTIFICATE", "HSTS_SECONDS"} & set(environment) - set(os.environ)


def test_for_other_machines_this_ones_names_are_allowed(config: Config, prepared: list[dict[str, str]]) -> None:
    opened = replace(config, host="0.0.0.0")
    environment = run.prepare(opened)
    assert {"localhost", "127.0.0.1", socket.gethostname()} <= set(environment["ALLOWED_HOSTS"].split(","))
    assert environment["PUBLIC_URL"] == f"https://{socket.gethostname()}:{config.port}"
    assert environment["SECURE_COOKIES"] == "true"
    assert environment["TLS_CERTIFICATE"] == str(opened.certificate_file)
    assert opened.certificate_file.exists()


def test_browsers_hold_on_to_tls_only_where_they_trust_the_certificate(config: Config) -> None:
    hospitals = {"certificate": config.certificate_file, "certificate_key": config.key_file}
    seconds = [
        run._hsts_seconds(replace(config, host="0.0.0.0", **more))
        for more in ({}, {"port": 443}, hospitals, {**hospitals, "port": 443})
    ]
    assert seconds == [0, 0, 0, run.HSTS_SECONDS]


def test_addresses_of_ipv6_are_allowed_as_a_url_has_them(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Probe:
        """A socket of a machine that has a route by either protocol."""

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


def test_names_that_were_asked_for_do_not_hide_the_service_from_its_start(
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


def test_others_are_told_where_it_is_and_how_to_know_its_certificate(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = replace(config, host="0.0.0.0")
    run.prepare(opened)
    monkeypatch.setattr(ready, "wait", lambda *_: True)
    announce.when_ready(opened, ready.Programs(opened, run.print_line), lambda: False)
    said = capsys.readouterr().out
    assert f"https://{socket.gethostname()}:{config.port}" in said
    assert certificates.fingerprint(opened.certificate_file) in said
    assert len(said.splitlines()) <= 7


def test_a_new_certificate_is_served_without_a_restart(
    config: Config, prepared: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = replace(config, host="0.0.0.0")
    names = run.prepare(opened)["ALLOWED_HOSTS"].split(",")
    watched = ready.Programs(opened, run.print_line, pids={"web": 4711})
    signalled: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signalled.append((pid, number)))
    monkeypatch.setattr(run, "WATCH_SECONDS", 0.01)
    stopping = threading.Event()
    watching = threading.Thread(target=run._watch_certificate, args=(opened, names, watched, stopping))
    watching.start()
    time.sleep(0.1)
    assert signalled == []
    opened.certificate_file.unlink()
    until = time.monotonic() + 20
    while not signalled and time.monotonic() < until:
        time.sleep(0.01)
    stopping.set()
    watching.join()
    assert signalled == [(4711, signal.SIGHUP)]
    assert certificates.fingerprint(opened.certificate_file) in capsys.readouterr().out


# --- the end --------------------------------------------------------------------------------------------------------


def test_a_second_ctrl_c_ends_what_the_first_one_waits_for(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def started(code: str) -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, process_group=0)

    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    supervisord, program = started("import time; time.sleep(60)"), started(stubborn)
    try:
        assert program.stdout
        program.stdout.readline()
        end = stopping.Stopping(supervisord, ready.Programs(config, run.print_line, pids={"infer": program.pid}))
        end._signalled(signal.SIGINT, None)
        assert supervisord.wait(20) == -signal.SIGTERM
        end._signalled(signal.SIGINT, None)  # the same press, passed on by a wrapper
        assert capsys.readouterr().out == f"{stopping.IN_ORDER}\n"
        monkeypatch.setattr(stopping, "SAME_PRESS", 0)
        end._signalled(signal.SIGTERM, None)
        assert program.poll() is None
        end._signalled(signal.SIGINT, None)
        assert program.wait(20) == -signal.SIGKILL
        assert capsys.readouterr().out == f"{stopping.AT_ONCE}\n"
    finally:
        for process in (supervisord, program):
            process.kill()
            process.communicate()


def test_systemd_is_told_where_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ready.notify("READY=1")  # nobody asks
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{folder}/notify")
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        ready.notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
