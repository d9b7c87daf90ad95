"""Raw request bodies, sent to the web server directly and through the proxy in front of it."""

import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests import proxies, synthetic
from tests.service import Service

pytestmark = pytest.mark.integration

MB = 2**20
FORM = "multipart/form-data; boundary=x"
PARTS = {"IMAGE_BODY": str(50 * MB * 4 // 3 + MB), "STUDY_BODY": str(2 * 2**30 + MB)}
#: Most bytes that the buffers of the client, the server and the proxy between them hold.
BUFFERED = 16 * MB


@pytest.fixture(params=["direct", "nginx"])
def port(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[int]:
    web = urlsplit(service.url)
    if request.param == "direct":
        yield int(web.port or 0)
        return
    with proxies.proxy(tmp_path, str(web.netloc), **PARTS) as port:
        yield port


def head(path: str, *lines: str) -> bytes:
    start = [f"POST {path} HTTP/1.1", "Host: localhost", "Accept: application/json", f"Content-Type: {FORM}"]
    return "\r\n".join([*start, *lines, "", ""]).encode()


def answer(port: int, request: bytes, body: Iterable[bytes] = (), seconds: float = 10) -> tuple[bytes, int]:
    """The answer to a request, and the number of bytes of its body that were sent before the answer."""
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as connection:
        connection.sendall(request)
        sent = 0
        for part in body:
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(part)
            sent += len(part)
        connection.settimeout(seconds)
        received = connection.recv(2**16)
        while b"\r\n\r\n" not in received or (b"json" in received and b'"code"' not in received):
            received += connection.recv(2**16)
    return received, sent


@pytest.mark.parametrize(
    "path", ["/api/v1/images/", "/api/v1/images", "/api/v1/studies/", "/upload/", "/predict", "/api/v1/auth/token/"]
)
def test_three_gigabytes_are_refused_before_a_byte_of_them_is_requested(port: int, path: str) -> None:
    received, _ = answer(port, head(path, f"Content-Length: {3 * 2**30}", "Expect: 100-continue"))
    assert received.startswith(b"HTTP/1.1 413 "), "it must not follow a 100 Continue"
    assert b"application/problem+json" in received
    assert b"file_too_large" in received


def test_the_client_is_told_to_send_a_body_that_is_accepted(port: int) -> None:
    for length in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        received, _ = answer(port, head("/api/v1/images/", length, "Expect: 100-continue"))
        assert received.startswith(b"HTTP/1.1 100 Continue\r\n")


@pytest.mark.parametrize(("path", "limit"), [("/api/v1/images/", 51 * MB), ("/api/v1/auth/token/", 2 * MB)])
def test_a_body_without_a_length_is_cut_off_at_the_limit(port: int, path: str, limit: int) -> None:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    endless = (chunk for _ in range(160 * 16))
    received, sent = answer(port, head(path, "Transfer-Encoding: chunked"), endless)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in received
    assert limit <= sent <= limit + BUFFERED


def test_an_upload_without_a_length_is_accepted(port: int) -> None:
    content = synthetic.xray_jpeg(3)
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'

    def parts() -> Iterator[bytes]:
        yield from (start, content[:1000], content[1000:], b"\r\n--x--\r\n")

    headers = {"Content-Type": FORM}
    accepted = httpx.post(f"http://127.0.0.1:{port}/api/v1/images/", content=parts(), headers=headers)
    assert accepted.status_code == 202
    image = httpx.get(accepted.json()["url"], headers={"X-Job-Token": accepted.json()["token"]}).json()
    assert image["filename"] == "a.jpg"


@pytest.mark.parametrize(
    "request_",
    [
        head("/api/v1/images/", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n",
        head("/api/v1/images/", "Transfer-Encoding: chunked") + b"5\r\nabcdefgh\r\n0\r\n\r\n",
        head("/api/v1/images/", "Transfer-Encoding: chunked") + b"fffffffffffffffff\r\nabc",
        head("/api/v1/images/", "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
        head("/api/v1/images/", "Content-Length: 5", "Content-Length: 6") + b"abcdef",
        head("/api/v1/images/", "Content-Length: -1"),
        head("/api/v1/images/", f"Content-Length: {'9' * 30}"),
        head("/api/v1/images/", "Transfer-Encoding: xchunked") + b"abc",
    ],
    ids=[
        "no size",
        "wrong size",
        "huge size",
        "chunked with length",
        "two lengths",
        "negative",
        "huge length",
        "unknown coding",
    ],
)
def test_a_body_without_a_clear_end_is_refused(port: int, request_: bytes) -> None:
    received, _ = answer(port, request_)
    assert received.split(b" ")[1] in (b"400", b"501"), received
    assert b"connection: close" in received.lower(), "an open connection would take the rest for another request"


def test_slow_bodies_do_not_delay_other_requests(service: Service, port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(head("/api/v1/images/", "Content-Length: 100000") + b"--x\r\n")
        started = time.monotonic()
        assert httpx.get(f"http://127.0.0.1:{port}/api/v1/images/", timeout=10).status_code == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in slow:
            connection.close()
