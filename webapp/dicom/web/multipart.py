"""Read and write multipart/related bodies (RFC 2387) as streams."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from uuid import uuid4

import multipart
from django.conf import settings
from django.core.files import File
from django.http import StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType

from webapp.dicom.services.arrivals import AT_ONCE, BYTES_AT_ONCE
from webapp.http.forms import events
from webapp.refusals import Refused

DICOM = "application/dicom"


class _Parser(multipart.PushMultipartParser):
    """The library's parser, for parts that are not form fields. The library documents this method for overriding."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> multipart.MultipartSegment:
        return multipart.MultipartSegment(headerlist)


@dataclass
class Part:
    """A part of a request.

    Attributes:
        kind: its media type in lower case; empty if it has none.
        file: its content, which is only available until the next parts are read; None if it is larger than an image
            may be.
    """

    kind: str
    file: File | None


def read(content_type: str, stream: IO[bytes]) -> Iterator[list[Part]]:
    """Yield the parts of a request's body, in groups that are small enough to be saved together.

    Raises:
        UnsupportedMediaType: the body has another type.
        Refused: ``malformed_request`` or ``too_many_files``. The client does not learn which parts were stored before
            the error, and has to send all again.
    """
    try:
        kind, parameters = parse_header_parameters(content_type)
        boundary = parameters.get("boundary", "").encode("latin-1")
    except ValueError:  # a parameter in an unknown character set
        kind, parameters, boundary = "", {}, b""
    if kind != "multipart/related" or parameters.get("type", DICOM).lower() != DICOM or not boundary:
        detail = f'Please send instances as multipart/related; type="{DICOM}"; boundary=…, each as a part.'
        raise UnsupportedMediaType(kind, detail)
    try:
        yield from _parts(stream, boundary)
    except (multipart.MultipartError, MultiPartParserError) as error:
        raise Refused("malformed_request", f"The parts of the request cannot be read: {error}.") from error


def _parts(stream: IO[bytes], boundary: bytes) -> Iterator[list[Part]]:
    parser = _Parser(boundary, header_charset="latin-1")
    with ExitStack() as opened:
        number = size = 0
        group: list[Part] = []
        content: Any = None
        for event in events(parser, stream, boundary):
            if isinstance(event, multipart.MultipartSegment):
                number += 1
                if number > settings.MAX_STUDY_FILES:
                    most = settings.MAX_STUDY_FILES
                    raise Refused("too_many_files", f"At most {most} instances can be sent at once.")
                segment = event
                content = opened.enter_context(
                    SpooledTemporaryFile(
                        max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
                    )
                )
            elif event is not None:
                if segment.bytes_received <= settings.MAX_IMAGE_BYTES:
                    content.write(event)
            else:
                group.append(_part(segment, content))
                size += segment.size
                if len(group) == AT_ONCE or size >= BYTES_AT_ONCE:
                    yield group
                    opened.close()
                    group, size = [], 0
        if group:
            yield group


def _part(segment: multipart.MultipartSegment, content: Any) -> Part:
    kind = (segment.content_type or "").lower()
    if segment.size > settings.MAX_IMAGE_BYTES:
        return Part(kind, None)
    content.seek(0)
    file = File(content)
    file.size = segment.size
    return Part(kind, file)


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
