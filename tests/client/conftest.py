"""The client with its own home folder, and a fake server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pneumoqueue import account, commands
from pneumoqueue.server import Server

URL = "https://xray.example"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the client's own files."""
    for name in ("PNEUMOQUEUE_URL", "PNEUMOQUEUE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "pneumoqueue"


@pytest.fixture
def signed_in(home: Path) -> None:
    account.save(account.Account(URL, "secret", "kim"))


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": f"This is {code}."}, headers=headers)


class FakeServer:
    """Answers like the API, as far as uploads need it, and records what it accepted.

    Attributes:
        requests: all received requests.
        override: called first; a response that it returns, or an error that it raises, replaces the answer.
        studies: the file names of each study.
        limit: largest number of files in a study.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.override: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        self.studies: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.keys: dict[str, tuple[list[str], str]] = {}
        self.limit = 5000

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        body = request.read()
        if answer := self.override(request):
            return answer
        return self.answer(request, body)

    def answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        path = request.url.path
        if path == "/api/v1/auth/token/" and request.method == "POST":
            credentials = json.loads(body)
            right = credentials["password"] == "right"
            return httpx.Response(200, json={"token": "t0"}) if right else problem(401, "authentication_failed")
        if request.method == "DELETE":
            return httpx.Response(204)
        study = path.split("/")[4]
        if request.method == "POST":
            return self.accept(request.headers["idempotency-key"], study, body)
        if study not in self.studies:
            return problem(404, "not_found")
        return httpx.Response(200, json=self.study_json(study))

    def accept(self, key: str, study: str, body: bytes) -> httpx.Response:
        names = [part.split(b'"', 1)[0].decode() for part in body.split(b'filename="')[1:]]
        self.bodies.append(body)
        if key in self.keys:
            assert self.keys[key][0] == names
            return httpx.Response(202, json=self.study_json(self.keys[key][1]))
        if any(name.startswith("bad") for name in names):
            return problem(400, "archive_corrupt")
        if len(names) + len(self.studies.get(study, ())) > self.limit:
            return problem(413, "too_many_files")
        if not study:
            study = f"{len(self.studies):08}-0000-4000-8000-000000000000"
            self.studies[study] = []
            self.names[study] = body.split(b'name="name"\r\n\r\n')[1].split(b"\r\n")[0].decode()
        self.studies[study] += names
        self.keys[key] = names, study
        return httpx.Response(202, json=self.study_json(study))

    def study_json(self, study: str) -> dict[str, Any]:
        files = self.studies[study]
        return {"id": study, "name": self.names[study], "status": "running", "total": len(files), "errors": [],
                "counts": {"queued": len(files)}, "page_url": f"{URL}/studies/{study}/"}  # fmt: skip

    def posts(self) -> list[httpx.Request]:
        return [request for request in self.requests if request.method == "POST"]


@pytest.fixture
def fake_server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The server that commands connect to. Retries do not wait."""
    server = FakeServer()

    def connect(url: str, token: str = "", **options: Any) -> Server:
        return Server(url, token, **options, transport=httpx.MockTransport(server), sleep=lambda seconds: None)

    monkeypatch.setattr(commands, "Server", connect)
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven files, two of which are the same."""
    ward = tmp_path / "ward"
    (ward / "below").mkdir(parents=True)
    for number in range(6):
        (ward / f"{number}.jpg").write_bytes(b"image %d" % number)
    (ward / "below" / "0.jpg").write_bytes(b"image 0")
    return ward
