"""The launcher waits until the service is ready."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from compose.local import ready, resources
from compose.local.config import Config
from tests.service import ROOT


def test_status_200_means_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((200, "ok")) + "/readyz") is None


def test_another_status_means_not_ready_and_gives_the_reason(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((503, "no infer worker\n")) + "/readyz") == "no infer worker"


def test_a_closed_port_means_not_ready() -> None:
    assert "refused" in (ready.probe(f"http://127.0.0.1:{resources.free_port()}/readyz") or "")


def test_an_answer_that_is_not_http_means_not_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve(None) + "/readyz") is not None


def test_a_proxy_of_the_environment_is_not_used(serve: Callable[..., str]) -> None:
    closed_port = f"http://127.0.0.1:{resources.free_port()}"
    program = "import sys; from compose.local import ready; print(ready.probe(sys.argv[1]))"
    completed = subprocess.run(
        [sys.executable, "-c", program, serve((200, "ok")) + "/readyz"],
        cwd=ROOT,
        env={**os.environ, "http_proxy": closed_port, "all_proxy": closed_port, "no_proxy": "", "NO_PROXY": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert completed.stdout == "None\n"


def test_waiting_ends_when_the_service_is_ready(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "POLL_SECONDS", 0.01)
    url = serve((503, "no database"), None, (503, "no model"), (200, "ok")) + "/readyz"
    assert ready.wait(url, print)
    assert ready.probe(url) is None


def test_waiting_ends_when_the_programs_have_stopped() -> None:
    assert not ready.wait(f"http://127.0.0.1:{resources.free_port()}/readyz", print, lambda: True)


def test_missing_parts_are_named(serve: Callable[..., str]) -> None:
    answer = json.dumps({"status": "not ready", "parts": {"database": True, "broker": False, "infer_worker": False}})
    assert ready.probe(serve((503, answer)) + "/readyz") == "waiting for broker, infer_worker"


def test_missing_parts_are_reported_at_intervals(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)

    def sleep(_: float) -> None:
        clock.now += 10.0

    monkeypatch.setattr(ready, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    lines: list[str] = []
    ready.wait(serve(*[(503, f"{turn}0 seconds") for turn in range(11)], (200, "ok")) + "/readyz", lines.append)
    # Each message comes more than REMIND_SECONDS after the one before.
    assert lines == ["not ready yet: 40 seconds", "not ready yet: 80 seconds"]


# --- programs that end ----------------------------------------------------------------------------------------------


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def watched(tmp_path: Path, lines: list[str]) -> ready.Programs:
    config = Config(data_dir=tmp_path, port=1, flower_port=2)
    config.logs_dir.mkdir()
    return ready.Programs(config, lines.append)


EXIT_LINE = "2026-11-25 22:20:26,626 WARN exited: infer (exit status 1; not expected)"


def test_a_program_that_ends_is_reported_with_its_log(watched: ready.Programs, lines: list[str]) -> None:
    watched.note(EXIT_LINE)
    watched.note(EXIT_LINE)  # a repetition soon after is not reported
    log = watched.config.logs_dir / "infer.log"
    assert lines == [f"infer ended (exit status 1) and is started again; its log is {log}"]
    assert not watched.failed


def test_a_program_that_ends_three_times_before_the_service_is_ready_fails(watched: ready.Programs) -> None:
    """Celery's exit status after a cold shutdown is 0, which supervisord calls expected."""
    for _ in range(3):
        watched.note("2026-11-25 22:20:26,626 INFO exited: infer (exit status 0; expected)")
    assert watched.failed == "infer"


def test_the_process_of_each_program_is_known_while_it_runs(watched: ready.Programs) -> None:
    for line in ("INFO spawned: 'web' with pid 6", "INFO spawned: 'infer' with pid 7", EXIT_LINE,
                 "INFO spawned: 'infer' with pid 8", "INFO stopped: web (exit status 0)"):  # fmt: skip
        watched.follow(line)
    assert watched.pids == {"infer": 8}


def test_the_start_fails_if_a_program_keeps_ending(watched: ready.Programs) -> None:
    (watched.config.logs_dir / "infer.log").write_text("loading\nBundleError: the weights are damaged\n")
    for _ in range(ready.MAX_FAILURES):
        watched.note(EXIT_LINE)
    assert watched.failed == "infer"
    assert watched.last_lines().endswith("  BundleError: the weights are damaged")


def test_a_program_that_keeps_ending_later_is_restarted(watched: ready.Programs) -> None:
    watched.ready = True
    for _ in range(ready.MAX_FAILURES + 1):
        watched.note(EXIT_LINE)
    assert not watched.failed


def test_other_lines_of_supervisord_are_ignored(watched: ready.Programs, lines: list[str]) -> None:
    for line in ("INFO spawned: 'infer' with pid 7", "INFO stopped: infer (exit status 0)"):
        watched.note(line)
    assert lines == []
