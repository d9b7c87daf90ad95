"""Bodies of several parts (multipart/related, RFC 2387): the parts of a request, and answers written as a stream."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.core.files import File
from django.http import StreamingHttpResponse

from webapp.dicom.services.arrivals import AT_ONCE, BYTES_AT_ONCE
from webapp.dicom.web.incoming import Incoming, PartFile, Received
from webapp.http import bodies


@dataclass
class Part:
    """A part of a request.

    Attributes:
        kind: its media type in small letters; empty where it says none.
        file: its content, which is only there until the next parts; None where it is larger than an image may be.
        sha256: of its content.
    """

    kind: str
    file: File | None
    sha256: str = ""


def read(request: Any) -> Iterator[list[Part]]:
    """The parts of a request's body, in groups of no more than are kept together.

    Args:
        request: Django's or REST Framework's.

    Raises:
        UnsupportedMediaType: it is another type of body.
        Refused: ``malformed_request`` or ``too_many_files``, before there is any part.
    """
    with ExitStack() as stack:
        incoming: Incoming | None = bodies.taken(request)
        if incoming is None:  # the server hands the body on as it comes
            incoming = stack.enter_context(Incoming(request.headers.get("Content-Type", "")))
            while some := request.read(bodies.CHUNK):
                incoming.writelines([some])
        for group in _groups(incoming.parts()):
            with ExitStack() as opened:
                files = [opened.enter_context(PartFile(one.path, one.size)) if one.path else None for one in group]
                yield [Part(one.kind, file, one.sha256) for one, file in zip(group, files, strict=True)]


def _groups(parts: Iterable[Received]) -> Iterator[list[Received]]:
    group: list[Received] = []
    for part in parts:
        group.append(part)
        if len(group) == AT_ONCE or sum(one.size for one in group) >= BYTES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


@dataclass
class Sent:
    """A part of an answer: its headers, and its content a block at a time."""

    content_type: str
    content: Iterable[bytes]
    location: str = ""


def related(parts: Iterable[Sent], kind: str) -> StreamingHttpResponse:
    """An answer whose parts are made while it is sent. One that cannot be made ends the connection."""
    boundary = uuid4().hex
    return StreamingHttpResponse(
        _written(parts, boundary.encode()), content_type=f'multipart/related; type="{kind}"; boundary={boundary}'
    )


def _written(parts: Iterable[Sent], boundary: bytes) -> Iterator[bytes]:
    for part in parts:
        head = f"Content-Type: {part.content_type}\r\n"
        if part.location:
            head += f"Content-Location: {part.location}\r\n"
        yield b"--" + boundary + b"\r\n" + head.encode() + b"\r\n"
        yield from part.content
        yield b"\r\n"
    yield b"--" + boundary + b"--\r\n"
