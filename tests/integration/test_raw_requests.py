"""Raw and damaged requests, sent to the web server directly: each has an answer, and none is a 5xx."""

import re
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests import synthetic
from tests.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]

PATH = b"/api/v1/images/"
JPEG = synthetic.xray_jpeg(1, (160, 120))
BODY = b'--x\r\nContent-Disposition: form-data; name="file"; filename="raw.jpg"\r\n\r\n' + JPEG + b"\r\n--x--\r\n"
HOST, CLOSE, ACCEPT = b"Host: localhost", b"Connection: close", b"Accept: application/json"
FORM = b"Content-Type: multipart/form-data; boundary=x"
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
#: Seconds to wait for an answer.
TIMEOUT = 10


def request(
    *headers: bytes, method: bytes = b"POST", path: bytes = PATH, body: bytes = BODY, version: bytes = b"HTTP/1.1",
    host: tuple[bytes, ...] = (HOST,), end: bytes = b"\r\n", form: bytes = FORM,
) -> bytes:  # fmt: skip
    start = b" ".join([method, path, version])
    return end.join([start, *host, CLOSE, ACCEPT, form, *headers, b"", b""]) + body


def chunks(size: int = 1000, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts = [BODY[at : at + size] for at in range(0, len(BODY), size)]
    sent = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return sent + b"0\r\n" + trailer + b"\r\n"


#: Requests that upload an image, each with what is unusual about it.
ACCEPTED = {
    "nothing": request(LENGTH),
    "chunks": request(CHUNKED, body=chunks()),
    "chunks of a byte": request(CHUNKED, body=chunks(1)),
    "chunks that end in the boundary": request(CHUNKED, body=chunks(BODY.index(JPEG) + len(JPEG) + 3)),
    "chunks with extensions": request(CHUNKED, body=chunks(777, b";a=b")),
    "a trailer": request(CHUNKED, body=chunks(777, trailer=b"X-Trailer: y\r\n")),
    "CHUNKED": request(b"TRANSFER-ENCODING: CHUNKED", body=chunks()),
    "HTTP/1.0": request(LENGTH, version=b"HTTP/1.0"),
    "a whole address": request(LENGTH, path=b"http://localhost" + PATH),
    "100-Continue": request(LENGTH, b"Expect: 100-Continue"),
    "a header in Latin-1": request(LENGTH, b"X-Name: M\xfcller"),
    "a header with an underscore": request(b"Content_Length: 5", LENGTH),
    "no slash": request(LENGTH, path=PATH[:-1]),
    "MULTIPART": request(LENGTH, form=b"CONTENT-TYPE: MULTIPART/FORM-DATA; BOUNDARY=x"),
    "no host": request(LENGTH, host=()),
}
#: Requests that are refused, with the statuses that are allowed.
REFUSED = {
    "two lengths": (request(LENGTH, b"Content-Length: 5"), {400}),
    "a length with a sign": (request(b"Content-Length: +%d" % len(BODY)), {400}),
    "a negative length": (request(b"Content-Length: -1"), {400}),
    "a length in hexadecimal": (request(b"Content-Length: 0x10"), {400}),
    "a length of 23 digits": (request(b"Content-Length: 99999999999999999999999"), {400, 413}),
    "a length of 3 GB": (request(b"Content-Length: 3221225472"), {413}),
    "3 GB that wait for 100 Continue": (
        request(b"Content-Length: 3221225472", b"Expect: 100-continue", body=b""),
        {413},
    ),
    "a length that is too short": (request(b"Content-Length: %d" % (len(BODY) - 5)), {400}),
    "no length": (request(body=b""), {400, 411}),
    "chunked and a length": (request(CHUNKED, LENGTH, body=chunks()), {400}),
    "a chunk without a size": (request(CHUNKED, body=b"zz\r\nabc\r\n0\r\n\r\n"), {400}),
    "a chunk of a huge size": (request(CHUNKED, body=b"ffffffffffffffffff\r\nabc"), {400}),
    "a space before a colon": (request(b"X-Y : z", LENGTH), {400}),
    "another host": (request(LENGTH, host=(b"Host: evil.example",)), {400}),
    "PUT": (request(LENGTH, method=b"PUT"), {405}),
    "another method": (request(LENGTH, method=b"BREW"), {400, 405, 501}),
    "a null character in the path": (request(LENGTH, path=PATH + b"%00"), {400, 404}),
    "bytes in the path": (request(LENGTH, path=b"/api/v1/im\xe4ges/"), {400, 404}),
    "HTTP/2 offered": (request(LENGTH, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), {400}),
    "TLS": (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", {400}),
}


def answers(service: Service, raw: bytes) -> list[int]:
    """The statuses of all answers until the server closes the connection."""
    received = b""
    with closing(socket.create_connection(("127.0.0.1", int(urlsplit(service.url).port or 0)), TIMEOUT)) as connection:
        connection.sendall(raw)
        connection.settimeout(TIMEOUT)
        while part := connection.recv(2**16):
            received += part
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED)
def test_an_image_is_accepted(service: Service, raw: bytes) -> None:
    assert [status for status in answers(service, raw) if status != 100] == [202]


@pytest.mark.parametrize(("raw", "allowed"), REFUSED.values(), ids=REFUSED)
def test_a_request_is_refused(service: Service, raw: bytes, allowed: set[int]) -> None:
    (status, *others) = answers(service, raw)
    assert status in allowed
    assert all(other < 500 or other == 501 for other in others)


def test_the_connection_is_closed_after_an_offer_of_http_2(service: Service) -> None:
    """A request that follows on the connection would get no answer."""
    offer = request(b"Upgrade: h2c", method=b"GET", body=b"").replace(CLOSE, b"Connection: Upgrade")
    assert answers(service, offer) == [200]


def test_two_requests_sent_together_have_two_answers(service: Service) -> None:
    first = request(LENGTH).replace(CLOSE + b"\r\n", b"")
    assert answers(service, first + request(LENGTH)) == [202, 202]
