"""Flower behind the service's own sign-in, and what it shows about a task."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from webapp.config import queues
from webapp.queues import flower
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def upstream(settings: Any) -> Iterator[list[tuple[str, str, str]]]:
    """A fake Flower; the fixture is the list of the requests that it received."""
    received: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            received.append((self.command, self.path, self.headers.get("Authorization", "")))
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"a page of Flower")

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.FLOWER_UPSTREAM = f"http://127.0.0.1:{server.server_port}"
    settings.FLOWER_BASIC_AUTH = "admin:secret"
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def chief_client(client: Any, settings: Any) -> Any:
    user = User.objects.create_superuser("chief")
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
    return client


def test_administrators_need_no_second_password(chief_client: Any, upstream: list[tuple[str, str, str]]) -> None:
    page = chief_client.get("/flower/workers?refresh=1")
    assert (page.status_code, page.content) == (200, b"a page of Flower")
    assert page["Cache-Control"] == "no-store"
    assert chief_client.get("/flower/missing").status_code == 404
    assert chief_client.post("/flower/tasks/datatable", {"draw": "1"}).status_code == 200
    assert [path for _, path, _ in upstream] == [
        "/flower/workers?refresh=1",
        "/flower/missing",
        "/flower/tasks/datatable",
    ]
    assert {authorization for _, _, authorization in upstream} == {"Basic YWRtaW46c2VjcmV0"}


@pytest.mark.parametrize("path", ["api/worker/shutdown/infer@a", "api/task/apply/worker.purge", "workers"])
def test_actions_through_flower_are_refused(chief_client: Any, upstream: list[tuple[str, str, str]], path: str) -> None:
    assert chief_client.post(f"/flower/{path}").status_code == 404
    assert upstream == []


def test_the_page_without_flower_answers_with_502_or_404(chief_client: Any, settings: Any) -> None:
    settings.FLOWER_UPSTREAM = "http://127.0.0.1:1"
    assert chief_client.get("/flower/").status_code == 502
    settings.FLOWER_UPSTREAM = ""
    assert chief_client.get("/flower/").status_code == 404


def test_a_task_names_its_image(make_image: Callable[..., Image]) -> None:
    image = make_image(filename="film-7.jpg")
    assert flower.shown_arguments("worker.ingest", f"('{image.pk}',)") == f"film-7.jpg /images/{image.pk}/"
    gone = uuid4()
    assert flower.shown_arguments("worker.infer", f"('{gone}',)") == f"an image that was deleted /images/{gone}/"
    assert flower.shown_arguments("worker.purge", "()") == "()"
    assert flower.shown_arguments("worker.ingest", None) is None


def test_flower_lists_all_queues_from_the_start() -> None:
    code = (
        "import sys; sys.argv = ['celery', 'flower']\n"
        "from webapp.config.celery import app\n"
        "print(' '.join(sorted(queue.name for queue in app.conf.task_queues)))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.config.settings"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert completed.stdout.split() == sorted(queues.every())
    assert {"ingest.bulk", "unpack", "infer.bulk", "deliver"} <= set(queues.every())
