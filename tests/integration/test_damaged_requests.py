"""Truncated forms and forms with a wrong length, sent to the web server directly.

The service stores all files of a form, or none.
"""

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]

FILES = 3
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.jpg"\r\n\r\n%b\r\n'
BODY = b"".join(PART % (number, synthetic.xray_jpeg(number, (160, 120))) for number in range(FILES)) + b"--x--\r\n"
#: Offsets where a form breaks off: around its last boundary, around other boundaries, and anywhere.
CUTS = sorted({
    *range(len(BODY) - 9, len(BODY)),
    *(BODY.index(b"filename", at) for at in (0, len(BODY) // 2)), BODY.index(b"--x", 5), BODY.index(b"--x", 5) + 3,
    *random.Random(12).sample(range(len(BODY)), 8), 0,
})  # fmt: skip
TIMEOUT = 10


def chunks(body: bytes, size: int = 700) -> bytes:
    parts = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def with_length(length: int, body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length: %d" % length, body


def damaged() -> Iterator[tuple[bytes, bytes]]:
    """Pairs of the header with a body's length, and the body; the first two are correct."""
    chunked = b"Transfer-Encoding: chunked"
    yield with_length(len(BODY), BODY)
    yield chunked, chunks(BODY) + b"0\r\n\r\n"
    for cut in CUTS:
        yield with_length(len(BODY), BODY[:cut])
        yield with_length(cut, BODY[:cut])
        yield chunked, chunks(BODY[:cut]) + b"0\r\n\r\n"
        yield chunked, chunks(BODY)[:cut]
    for difference in (-700, -8, -1, 1, 2, 700):
        yield with_length(len(BODY) + difference, BODY)
    yield with_length(len(BODY) - 2, BODY[:-4])
    yield with_length(len(BODY) + 9, BODY.replace(b"--x--\r\n", b"--x\r\n") + b"--x--\r\n")
    yield chunked, chunks(BODY).replace(b"2bc\r\n", b"2bd\r\n", 1) + b"0\r\n\r\n"
    yield chunked, chunks(BODY).replace(b"2bc\r\n", b"-2bc\r\n", 1) + b"0\r\n\r\n"


def is_complete(length: bytes, body: bytes) -> bool:
    """Whether the body is as long as declared, so that the server answers without waiting for more."""
    name, _, value = length.partition(b": ")
    return len(body) >= int(value) if name == b"Content-Length" else body.endswith(b"0\r\n\r\n")


def send(service: Service, token: str, length: bytes, body: bytes) -> tuple[int, bytes]:
    """Send a request; return the answer's status, 0 without an answer, and its body.

    If bytes are missing, the client closes its side of the connection.
    """
    head = b"\r\n".join([
        b"POST /api/v1/studies/ HTTP/1.1", b"Host: localhost", b"Connection: close", b"Accept: application/json",
        b"Content-Type: multipart/form-data; boundary=x", b"X-Job-Token: " + token.encode(), length, b"", b"",
    ])  # fmt: skip
    received = b""
    with closing(socket.create_connection(("127.0.0.1", urlsplit(service.url).port or 0), TIMEOUT)) as connection:
        connection.settimeout(TIMEOUT)
        try:
            connection.sendall(head + body)
            if not is_complete(length, body):
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(2**16):
                received += part
        except ConnectionError:  # refused before the whole body was sent
            pass
    head, _, answer = received.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head else 0, answer


def test_all_files_of_a_form_are_stored_or_the_request_is_refused(service: Service) -> None:
    with clients.client(service) as api:
        files = [("files", ("a.jpg", synthetic.xray_jpeg(9, (160, 120))))]
        study_before = api.post("/api/v1/studies/", files=files).raise_for_status().json()
    token, totals = study_before["token"], {study_before["id"]: 1}
    statuses = []
    for length, body in damaged():
        status, answer = send(service, token, length, body)
        statuses.append(status)
        assert status in (0, 202) or 400 <= status < 500, (length, body[-30:], status)
        if status == 202:
            study = json.loads(answer)
            totals[study["id"]] = study["total"]
            assert study["total"] == FILES, (length, body[-30:])
    print(f"\n{len(statuses)} requests: {dict(Counter(statuses))}")
    assert statuses[:2] == [202, 202]
    with clients.client(service, headers={"X-Job-Token": token}) as api:
        listed = {study["id"]: study["total"] for study in api.get("/api/v1/studies/").json()["results"]}
    assert listed == totals
