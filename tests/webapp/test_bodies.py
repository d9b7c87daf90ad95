"""Request bodies: refused unread if they are too large, and received completely before they occupy a thread."""

import asyncio
from tempfile import SpooledTemporaryFile
from typing import Any

import a2wsgi.wsgi
import pytest

from tests.asgi import browse
from tests.webapp.clients import JPEG
from webapp.config.asgi import application
from webapp.http import bodies
from webapp.studies.models import Image, Study

pytestmark = pytest.mark.django_db(transaction=True)

MB = 2**20
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(autouse=True)
def small_limits(settings):
    settings.BODY_LIMITS = dict.fromkeys(["/api/v1/images/", "/api/v1/studies/", "/upload/", "/predict"], 3 * MB)
    settings.BODY_LIMIT = MB


class Client:
    """An ASGI client that sends its body as long as the application reads.

    Attributes:
        sent: number of bytes of the body that the application has read.
        status, headers, body: those of the response.
    """

    def __init__(self, path: str, headers: dict[str, str], *, part: int = 64 * 1024, parts: int = 10**6) -> None:
        self.scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"testserver"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
        }  # fmt: skip
        self.part, self.left = bytes(part), parts
        self.sent, self.status, self.headers, self.body = 0, 0, {}, b""

    async def receive(self) -> dict[str, Any]:
        self.left -= 1
        self.sent += len(self.part)
        return {"type": "http.request", "body": self.part, "more_body": self.left > 0}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")

    def ask(self) -> "Client":
        async def run() -> None:
            async with asyncio.timeout(30):
                await application(self.scope, self.receive, self.send)

        asyncio.run(run())
        return self


PATHS = ["/api/v1/images/", "/api/v1/studies/", "/upload/", "/predict", "/api/v1/auth/token/", "/accounts/login/"]


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_declared_too_large_is_not_read_at_all(path):
    client = Client(path, {"Content-Type": FORM, "Content-Length": str(10 * MB), "Accept": "application/json"}).ask()
    assert client.status == 413
    assert client.headers["content-type"] == "application/problem+json"
    assert b'"file_too_large"' in client.body
    assert client.headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" in client.headers
    assert client.sent == 0


@pytest.mark.parametrize("path", PATHS)
def test_a_body_without_a_length_is_read_up_to_the_limit(path):
    client = Client(path, {"Content-Type": FORM, "Transfer-Encoding": "chunked", "Accept": "application/json"}).ask()
    assert client.status == 413
    assert b'"file_too_large"' in client.body
    assert client.sent <= bodies.limit(path) + 64 * 1024


def test_browsers_get_an_error_page(client):
    answer = Client("/upload/", {"Content-Type": FORM, "Content-Length": str(10 * MB), "Accept": "text/html"}).ask()
    assert answer.status == 413
    assert b"at most 3 MB" in answer.body
    assert b"<html" in answer.body


def test_a_full_disk_is_reported_as_unavailable_storage(settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "gone")
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1024
    client = Client("/api/v1/images/", {"Content-Type": FORM, "Content-Length": str(2 * MB)}, parts=32).ask()
    assert client.status == 503
    assert b'"storage_unavailable"' in client.body


def test_small_parts_from_the_server_are_written_together(monkeypatch):
    written = []

    class RecordingFile(SpooledTemporaryFile):
        def writelines(self, parts):
            written.append(sum(map(len, parts)))
            return super().writelines(parts)

    monkeypatch.setattr(bodies, "SpooledTemporaryFile", RecordingFile)
    Client("/api/v1/images/", {"Content-Type": FORM, "Content-Length": str(2 * MB)}, parts=32).ask()
    assert written == [MB, MB]


def test_a_received_body_is_read_from_its_file_and_not_by_the_event_loop(monkeypatch):
    monkeypatch.setattr(a2wsgi.wsgi.Body, "read", lambda *_: pytest.fail("the event loop reads the body"))
    answer = browse(lambda client: client.post("/api/v1/images/", files={"file": ("a.jpg", JPEG)}))
    assert answer.status_code == 202
    assert Image.objects.get().file.read() == JPEG


def test_a_client_that_disconnects_early_leaves_nothing_behind():
    client = Client("/api/v1/images/", {"Content-Type": FORM, "Content-Length": str(2 * MB)})

    async def disconnect():
        return {"type": "http.disconnect"}

    client.receive = disconnect
    assert client.ask().status == 0
    assert not Image.objects.exists()


@pytest.mark.parametrize("memory", [10 * MB, 1024], ids=["in memory", "on the disk"])
def test_uploads_arrive_complete_with_and_without_a_length(settings, memory):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = memory
    content = JPEG + bytes(2 * MB)

    async def chunks():
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        for part in (head, *(content[i : i + 50_000] for i in range(0, len(content), 50_000)), b"\r\n--x--\r\n"):
            yield part

    async def scenario(client):
        first = await client.post("/api/v1/images/", files={"file": ("a.jpg", content)})
        second = await client.post("/api/v1/images/", content=chunks(), headers={"Content-Type": FORM})
        return first.status_code, second.status_code

    assert browse(scenario) == (202, 202)
    assert [image.file.read() for image in Image.objects.all()] == [content, content]
    assert not Study.objects.exists()


def test_a_header_with_an_underscore_is_not_taken_for_a_proxys_header(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    async def scenario(client):
        image = {"file": ("a.jpg", JPEG)}
        from_proxy = await client.post("/api/v1/images/", files=image, headers={"X-Forwarded-Proto": "https"})
        from_client = await client.post("/api/v1/images/", files=image, headers={"X_Forwarded_Proto": "https"})
        return [answer.json()["url"].partition(":")[0] for answer in (from_proxy, from_client)]

    assert browse(scenario) == ["https", "http"]


def test_a_query_with_invalid_utf8_is_answered():
    client = Client("/api/v1/images/", {})
    client.scope |= {"method": "GET", "query_string": "page_size=1&search=Lunge-rechts-\xfc".encode("latin-1")}
    assert client.ask().status == 200


def form(boundary: str) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return head.encode() + JPEG + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("MULTIPART/FORM-DATA; BOUNDARY=x", "x"),
        (" Multipart/form-data ;  Boundary = x ;", "x"),
        ('multipart/form-data; boundary="a;b=c"; charset=UTF-16', "a;b=c"),
        ("multipart/form-data; boundary*=utf-8''x", "x"),
        ("multipart/form-data; x=" + "y" * 500 + "; boundary=x", "x"),
        ("multipart/form-data; boundary=" + "a" * 200, "a" * 200),
    ],
)
def test_a_form_is_read_however_its_content_type_is_written(content_type, boundary):
    answer = browse(
        lambda client: client.post("/api/v1/images/", content=form(boundary), headers={"Content-Type": content_type})
    )
    assert answer.status_code == 202, answer.content
    assert Image.objects.get().file.read() == JPEG


@pytest.mark.parametrize("path", ["/api/v1/images/", "/upload/", "/predict"])
@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=" + "a" * 300,
        "multipart/form-data; boundary*=unheard-of''x",
        "application/x-www-form-urlencoded; charset=hex",
        "application/json; charset=undefined",
    ],
)
def test_an_invalid_content_type_gets_an_error_code(path, content_type):
    headers = {"Content-Type": content_type, "Accept": "application/json"}
    answer = browse(lambda client: client.post(path, content=form("a" * 300), headers=headers))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    assert "Content-Type" in answer.json()["detail"]


def test_an_offer_to_upgrade_to_http_2_is_refused_without_reading_the_body():
    client = Client("/api/v1/images/", {"Content-Type": FORM, "Content-Length": "10", "Upgrade": "h2c"}).ask()
    assert (client.status, client.headers["connection"], client.sent) == (400, "close", 0)
    assert b"Upgrade" in client.body


def test_a_slow_upload_holds_no_thread(settings):
    async def slow_body():
        yield b"--x\r\n"
        await asyncio.sleep(20)

    async def scenario(client):
        uploads = [
            asyncio.create_task(client.post("/api/v1/images/", content=slow_body(), headers={"Content-Type": FORM}))
            for _ in range(settings.WEB_THREADS * 3)
        ]
        await asyncio.sleep(0.3)
        answer = await asyncio.wait_for(client.get("/api/v1/images/"), 5)
        assert not any(task.done() for task in uploads)
        for task in uploads:
            task.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)
        return answer.status_code

    assert browse(scenario) == 200
