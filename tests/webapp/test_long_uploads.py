"""The body of a long upload is passed on to Django in parts."""

import asyncio
from typing import Any

import pytest

from webapp.http.long_uploads import LongUploads


@pytest.fixture(autouse=True)
def small_parts(settings):
    settings.PART_BYTES = 10


class Django:
    """Stand-in for Django that keeps each part with its offset, and responds with a given status."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.parts: list[tuple[int, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        headers = dict(scope["headers"])
        self.parts.append((int(headers[b"upload-offset"]), body))
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def ask(django: Django, *chunks: bytes | None, offset: int = 0, method: str = "PATCH", **headers: str) -> list[Any]:
    """Send a body in chunks, and return the messages of the response. None is a client that disconnects."""
    messages = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]
    answers: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        answers.append(message)

    raw_headers = [(b"upload-offset", str(offset).encode()), (b"content-length", b"99")]
    scope = {"type": "http", "method": method, "path": "/api/v1/uploads/7/", "headers": raw_headers}
    scope["headers"] += [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(LongUploads(django)(scope, receive, send))
    return answers


def test_a_long_body_is_passed_on_in_several_parts_with_one_response():
    django = Django()
    answers = ask(django, b"x" * 7, b"y" * 16, b"z" * 2, offset=5)
    assert django.parts == [(5, b"x" * 7 + b"y" * 3), (15, b"y" * 10), (25, b"yyyzz")]
    assert [answer["type"] for answer in answers] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("body", [b"", b"x" * 4, b"x" * 10, b"x" * 20])
def test_only_an_empty_body_gives_an_empty_part(body):
    django = Django()
    ask(django, body, b"")
    assert b"".join(part for _, part in django.parts) == body
    assert len(django.parts) == max(1, len(body) // 10)


def test_the_response_is_that_of_the_first_part_that_fails():
    django = Django(status=409)
    answers = ask(django, b"x" * 50)
    assert len(django.parts) == 1
    assert answers[0]["status"] == 409


def test_the_bytes_received_before_a_disconnect_are_a_part():
    django = Django()
    assert ask(django, b"x" * 13, None) == []
    assert django.parts == [(0, b"x" * 10), (10, b"xxx")]
    django = Django()
    ask(django, b"x" * 10, None)
    assert django.parts == [(0, b"x" * 10)]
    ask(django, None)
    assert len(django.parts) == 1


def test_a_body_with_a_checksum_is_left_whole():
    django = Django()
    ask(django, b"x" * 25, **{"upload-checksum": "sha1 x"})
    assert django.parts == [(0, b"x" * 25)]
