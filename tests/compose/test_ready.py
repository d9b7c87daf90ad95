"""Waiting for the service."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from compose.local import ready, resources
from tests.service import ROOT


def test_200_is_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((200, "ok")) + "/readyz") is None


def test_anything_else_is_not_and_says_why(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((503, "no infer worker\n")) + "/readyz") == "no infer worker"


def test_nobody_there_is_not_ready() -> None:
    assert "refused" in (ready.probe(f"http://127.0.0.1:{resources.free_port()}/readyz") or "")


def test_an_answer_that_is_no_http_is_not_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve(None) + "/readyz") is not None


def test_a_proxy_of_the_environment_is_not_asked(serve: Callable[..., str]) -> None:
    nobody = f"http://127.0.0.1:{resources.free_port()}"
    program = "import sys; from compose.local import ready; print(ready.probe(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, serve((200, "ok")) + "/readyz"],
        cwd=ROOT,
        env={**os.environ, "http_proxy": nobody, "all_proxy": nobody, "no_proxy": "", "NO_PROXY": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"


def test_waiting_ends_when_the_service_is_ready(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "POLL_SECONDS", 0.01)
    url = serve((503, "no database"), None, (503, "no model"), (200, "ok")) + "/readyz"
    ready.wait(url)
    assert ready.probe(url) is None


def test_what_is_missing_is_told_now_and_then(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=0.0)

    def sleep(_: float) -> None:
        clock.now += 10.0

    monkeypatch.setattr(ready, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    ready.wait(serve(*[(503, f"{turn}0 seconds") for turn in range(11)], (200, "ok")) + "/readyz")
    # The first after more than REMIND_SECONDS, and so on.
    assert capsys.readouterr().out.splitlines() == ["not ready yet: 40 seconds", "not ready yet: 80 seconds"]


def test_readiness_is_told_once_with_the_addresses(
    serve: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve((200, "ok"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", url.rsplit(":", 1)[1])
    monkeypatch.setenv("FLOWER_PORT", "5123")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "flower").write_text("flowers-own\n")
    ready.main()
    assert capsys.readouterr().out.splitlines() == [
        f"ready {url}",
        "Flower http://127.0.0.1:5123 user admin password flowers-own",
    ]
