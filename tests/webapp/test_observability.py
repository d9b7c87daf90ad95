"""The data sent to Sentry and OpenTelemetry, as their servers receive it: nothing in it names a patient or a file."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.service import ROOT
from webapp.observability import exporters

SECRETS = (b"Jane-Doe", b"doe-thorax", b"born-1950")

#: A view that fails on an upload, with sensitive data in its variables and in the error's message.
SCRIPT = """
import asyncio, httpx
from webapp.config import asgi
from django.core.management import call_command
from webapp.studies.services import uploads
call_command("migrate", verbosity=0)
def create_image(identity, file, *, filename, patient="", **more):
    raise RuntimeError(f"{patient} in {filename}")
uploads.create_image = create_image
async def main():
    transport = httpx.ASGITransport(asgi.application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/api/v1/images/?note=born-1950", data={"patient": "Jane-Doe"},
            files={"file": ("doe-thorax.jpg", b"born-1950")}, headers={"X-Request-ID": "request-0001"})
        assert answer.status_code == 500, answer.text
asyncio.run(main())
"""


@pytest.fixture
def received() -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """A server's port, and the path and body of each POST that it has received."""
    posts: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append((self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, posts
    server.shutdown()


def run(tmp_path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=180,
        env={"DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "REDIS_URL": "redis://127.0.0.1:1/0", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_an_error_reaches_sentry_without_anything_about_the_patient(tmp_path, received):
    port, posts = received
    run(tmp_path, SENTRY_DSN=f"http://key@127.0.0.1:{port}/1")
    events = b"".join(body for _, body in posts)
    assert b'"RuntimeError"' in events
    assert b"request-0001" in events
    assert b"create_image" in events
    assert not [secret for secret in SECRETS if secret in events]


@pytest.mark.long
def test_a_request_reaches_the_collector_without_anything_about_the_patient(tmp_path, received):
    port, posts = received
    run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_METRICS_EXPORTER="none")
    assert {path for path, _ in posts} == {"/v1/traces"}
    spans = b"".join(body for _, body in posts)
    assert b"api/v1/images/" in spans
    assert b"request-0001" in spans
    assert b"pneumoqueue-web" in spans
    assert not [secret for secret in SECRETS if secret in spans]


@pytest.mark.parametrize(
    ("variable", "module", "start"),
    [
        ("SENTRY_DSN", "sentry_sdk", exporters.start_sentry),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "opentelemetry", lambda: exporters.start_tracing("web")),
    ],
)
def test_missing_packages_are_reported(monkeypatch, variable, module, start):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delenv(variable, raising=False)
    start()  # not configured, so not imported
    monkeypatch.setenv(variable, "http://key@127.0.0.1:1/1")
    with pytest.raises(ImproperlyConfigured, match=rf"{variable} is set.*requirements/observability.in"):
        start()
