"""Waiting for the service."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compose.local import ready, resources

Answers = list[tuple[int, str] | None]


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """A server that gives these answers in turn, and the last of them ever after; None is no HTTP at all."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: tuple[int, str] | None) -> str:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is None:
                    self.wfile.write(b"\x15\x03\x01\r\n\r\n")
                    return
                status, body = answer
                self.send_response(status if self.path == "/readyz" else 404)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_200_is_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((200, "ok")) + "/readyz") is None


def test_anything_else_is_not_and_says_why(serve: Callable[..., str]) -> None:
    assert ready.probe(serve((503, "no infer worker\n")) + "/readyz") == "no infer worker"


def test_nobody_there_is_not_ready() -> None:
    assert "refused" in (ready.probe(f"http://127.0.0.1:{resources.free_port()}/readyz") or "")


def test_an_answer_that_is_no_http_is_not_ready(serve: Callable[..., str]) -> None:
    assert ready.probe(serve(None) + "/readyz") is not None


def test_a_proxy_of_the_environment_is_not_asked(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{resources.free_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert ready.probe(serve((200, "ok")) + "/readyz") is None


def test_waiting_ends_when_the_service_is_ready(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ready, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(ready, "REMIND_SECONDS", 0.0)
    ready.wait(serve((503, "no database"), None, (503, "no model"), (200, "ok")) + "/readyz")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not ready yet: ")]
    assert said[0] == "not ready yet: no database"
    assert said[-1] == "not ready yet: no model"
    assert len(said) == 3


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
