"""Receive a multipart/related body (RFC 2387) and write each part to its own file while the body arrives."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, Self

import multipart
from django.conf import settings
from django.core.files import File
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType

from webapp.dicom.web.accepting import DICOM, RELATED
from webapp.http.forms import Events
from webapp.refusals import Refused


class PartFile(File):
    """A part's content. A storage on the same file system renames the file, like Django's temporary files."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path.open("rb"), str(path))
        self.size = size

    def temporary_file_path(self) -> str:
        return str(self.name)


@dataclass(frozen=True)
class Received:
    """A complete part.

    Attributes:
        kind: its media type in lower case; empty if it has none.
        path: its file; None if it is larger than an image may be.
        size: in bytes.
        sha256: of its content.
    """

    kind: str
    path: Path | None
    size: int = 0
    sha256: str = ""


class Incoming:
    """The parts of a body that is written to this object as it arrives. Leaving the context deletes their files."""

    def __init__(self, content_type: str) -> None:
        self._error: Exception | None = None
        self._folder: Path | None = None
        self._content: BinaryIO | None = None  # of the current part
        self._received: list[Received] = []
        try:
            self._events = _events(content_type)
        except (UnsupportedMediaType, multipart.MultipartError) as error:
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._content:
            self._content.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Parse the next bytes. After an error, which :meth:`parts` raises, all further bytes are ignored."""
        try:
            for chunk in chunks:
                if self._error is None:
                    self._parse(chunk)
        except (multipart.MultipartError, MultiPartParserError, Refused) as error:
            self._error = error

    def parts(self) -> list[Received]:
        """All parts.

        Raises:
            UnsupportedMediaType: the body has another type.
            Refused: ``malformed_request`` or ``too_many_files``.
        """
        try:
            if self._error:
                raise self._error
            self._events.close()
        except (multipart.MultipartError, MultiPartParserError) as error:
            raise Refused("malformed_request", f"The parts of the request cannot be read: {error}.") from error
        return self._received

    def _parse(self, chunk: bytes) -> None:
        for event in self._events.parse(chunk):
            if isinstance(event, multipart.MultipartSegment):
                self._segment, self._digest, self._content = event, hashlib.sha256(), self._new_file()
            elif event is None:
                self._end()
            elif self._segment.bytes_received <= settings.MAX_IMAGE_BYTES and self._content:
                self._digest.update(event)
                self._content.write(event)

    def _new_file(self) -> BinaryIO:
        number = len(self._received)
        if number == settings.MAX_STUDY_FILES:
            raise Refused("too_many_files", f"At most {number} instances can be sent at once.")
        if self._folder is None:
            self._folder = Path(mkdtemp(".upload", dir=settings.FILE_UPLOAD_TEMP_DIR))
        return (self._folder / str(number)).open("xb")

    def _end(self) -> None:
        if self._content is None:
            return
        self._content.close()
        kind, size, path = (self._segment.content_type or "").lower(), self._segment.size, Path(self._content.name)
        if size > settings.MAX_IMAGE_BYTES:
            path.unlink()
            self._received.append(Received(kind, None))
        else:
            self._received.append(Received(kind, path, size, self._digest.hexdigest()))


def _events(content_type: str) -> Events:
    try:
        kind, parameters = parse_header_parameters(content_type)
        boundary = parameters.get("boundary", "").encode("latin-1")
    except ValueError:  # a parameter in an unknown character set
        kind, parameters, boundary = "", {}, b""
    if kind != RELATED or parameters.get("type", DICOM).lower() != DICOM or not boundary:
        detail = f'Please send instances as multipart/related; type="{DICOM}"; boundary=…, each as a part.'
        raise UnsupportedMediaType(kind, detail)
    return Events(_Parser(boundary, header_charset="latin-1"), boundary)


class _Parser(multipart.PushMultipartParser):
    """The library's parser, for parts that are not form fields. The library documents this method for overriding."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> multipart.MultipartSegment:
        return multipart.MultipartSegment(headerlist)
