"""Read and write multipart/related bodies (RFC 2387)."""

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
        kind: its media type in lower case; empty if it has none.
        file: its content, which is only available until the next parts are read; None if it is larger than an image
            may be.
        sha256: of its content.
    """

    kind: str
    file: File | None
    sha256: str = ""


def read(request: Any) -> Iterator[list[Part]]:
    """Yield the parts of a request's body, in groups that are small enough to be saved together.

    Args:
        request: Django's or REST Framework's.

    Raises:
        UnsupportedMediaType: the body has another type.
        Refused: ``malformed_request`` or ``too_many_files``, before the first group.
    """
    with ExitStack() as stack:
        incoming: Incoming | None = bodies.receiver(request)
        if incoming is None:  # the server passes the body on as a stream
            incoming = stack.enter_context(Incoming(request.headers.get("Content-Type", "")))
            while chunk := request.read(bodies.CHUNK):
                incoming.writelines([chunk])
        for group in _groups(incoming.parts()):
            with ExitStack() as opened:
                yield [
                    Part(
                        part.kind,
                        opened.enter_context(PartFile(part.path, part.size)) if part.path else None,
                        part.sha256,
                    )
                    for part in group
                ]


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
class ResponsePart:
    """A part of a response: its headers, and its content in blocks."""

    content_type: str
    content: Iterable[bytes]
    location: str = ""


def related(parts: Iterable[ResponsePart], kind: str) -> StreamingHttpResponse:
    """A response whose parts are made while it is sent. If a part cannot be made, the connection ends."""
    boundary = uuid4().hex
    return StreamingHttpResponse(
        _written(parts, boundary.encode()), content_type=f'multipart/related; type="{kind}"; boundary={boundary}'
    )


def _written(parts: Iterable[ResponsePart], boundary: bytes) -> Iterator[bytes]:
    for part in parts:
        head = f"Content-Type: {part.content_type}\r\n"
        if part.location:
            head += f"Content-Location: {part.location}\r\n"
        yield b"--" + boundary + b"\r\n" + head.encode() + b"\r\n"
        yield from part.content
        yield b"\r\n"
    yield b"--" + boundary + b"--\r\n"
