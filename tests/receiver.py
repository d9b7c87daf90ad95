"""A receiver of webhooks of another system: a real HTTP server on the loopback address."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A running receiver.

    Attributes:
        port: the port that it listens on.
        requests: the requests received so far.
        status: the status code of its responses.
        headers: the headers of its responses.
        hold: responses wait until this is set.
        arrived: set by each request.
        drip: send the response's headers one byte at a time, without end.
    """

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    drip: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def events(self) -> list[Any]:
        return [request.event for request in self.requests]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Run a receiver on `port`, or on a free port."""
    receiver = Receiver()
    receiver.hold.set()
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            receiver.arrived.set()
            receiver.hold.wait(60)
            if receiver.drip:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not stopped.wait(0.2):
                    try:
                        self.wfile.write(b"x")
                    except OSError:
                        return
            try:
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                pass  # the client is gone

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        stopped.set()
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
