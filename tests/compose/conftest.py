"""Fixtures for several tests of the launchers."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a server that gives these answers in turn and then repeats the last; None is an answer that is not HTTP."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: tuple[int, str] | None) -> str:
        remaining = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
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
