"""Parse multipart forms strictly. Django's own parser silently drops a part that it cannot read."""

import io
import re
import unicodedata
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import unquote_to_bytes

import multipart
from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParserError
from django.utils.datastructures import MultiValueDict

from webapp import encodings

CHUNK = 2**18
#: The name of a file that was sent without one.
UNNAMED = "unnamed"
#: A file's name by RFC 5987, as older versions of Python's requests send it.
_ENCODED_NAME = re.compile(r"filename\*\s*=\s*([\w-]*)'[^']*'([^;\s]+)", re.IGNORECASE)
#: Text in quotation marks, which is a value even if it looks like another parameter.
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
#: Accepted values of Content-Transfer-Encoding, all of which mean no encoding. RFC 7578 deprecates all others.
_PLAIN = ("", "7bit", "8bit", "binary")


class StrictFormParser(FileUploadHandler):
    """Django upload handler that parses a multipart form: it returns all parts or raises an error."""

    def handle_raw_input(  # type: ignore[override]  # the stubs have the boundary as a text
        self, input_data: Any, META: Any, content_length: int, boundary: bytes, encoding: str | None = None
    ) -> tuple[QueryDict, MultiValueDict[str, UploadedFile]]:
        """The fields and files of a form.

        Raises:
            MultiPartParserError: the body is not a form, or a part of it is missing or cannot be read.
            SuspiciousOperation: it has more fields or files than the settings allow.
        """
        in_memory = content_length <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        fields, files = QueryDict(mutable=True), MultiValueDict[str, UploadedFile]()
        sent: list[tuple[UploadedFile, bytes]] = []
        try:
            for segment, content in _parts(input_data, boundary, in_memory):
                name = segment.name.encode("latin-1").decode(errors="replace")
                if isinstance(content, UploadedFile):
                    files.appendlist(name, content)
                    sent.append((content, _sent_name(segment) or b""))
                else:
                    fields.appendlist(name, _field(name, content, segment.charset))
        except BaseException as error:
            for file in (file for _, found in files.lists() for file in found):
                file.close()
            if isinstance(error, multipart.MultipartError):
                raise MultiPartParserError(f"{error}. Nothing of it was stored. Please send it again.") from error
            raise
        for (file, _), text in zip(sent, encodings.decode([name for _, name in sent], encodings.WINDOWS), strict=True):
            file.name = _file_name(text)
        fields._mutable = False
        return fields, files


def _parts(
    stream: IO[bytes], boundary: bytes, in_memory: bool
) -> Iterator[tuple[multipart.MultipartSegment, UploadedFile | bytes]]:
    """Each part of a form: its headers, and its file or the bytes of its field."""
    parser = multipart.PushMultipartParser(boundary, header_charset="latin-1")  # latin-1 keeps all bytes as they are
    file: UploadedFile | None = None
    content: Any = None
    files = fields = text_size = 0
    try:
        for event in events(parser, stream, boundary):
            if isinstance(event, multipart.MultipartSegment):
                segment = event
                file = _new_file(segment, in_memory)
                content = io.BytesIO() if file is None else file.file
                files, fields = files + (file is not None), fields + (file is None)
                _check_numbers(files, fields)
            elif event is not None:
                if file is None:
                    text_size += len(event)
                    if text_size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                        raise RequestDataTooBig
                content.write(event)
            elif file is None:
                yield segment, content.getvalue()
            else:
                file.size = segment.size
                content.seek(0)
                whole, file = file, None
                if segment.filename == "" and not segment.size:  # from a browser, when no file was chosen
                    whole.close()
                else:
                    yield segment, whole
    except BaseException:
        if file is not None:
            file.close()
        raise


class Events:
    """The events of a parser. Raises an error for a part after the end, which the parser ignores."""

    def __init__(self, parser: Any, boundary: bytes) -> None:
        self._parser = parser
        self._delimiter = b"\r\n--" + boundary
        self._before = b"\r\n"  # the first boundary may be at the very beginning
        self._within = self._at_end = False

    def parse(self, chunk: bytes) -> Iterator[Any]:
        """Yield the events of the next bytes."""
        for event in self._parser.parse(chunk):
            yield event
            self._within = event is not None
        end = self._delimiter + b"--"
        # The parser has searched the content of parts.
        searched = self._before + (chunk[-len(end) :] if self._within else chunk)
        if not self._at_end and not self._within and end in searched:
            self._at_end, searched = True, searched.partition(end)[2]
        if self._at_end and self._delimiter in searched:
            raise MultiPartParserError("There is a part after the end of the form.")
        self._before = searched[-len(end) + 1 :]

    def close(self) -> None:
        """Raise an error if the last boundary is missing."""
        self._parser.close()


def events(parser: Any, stream: IO[bytes], boundary: bytes) -> Iterator[Any]:
    """Yield all events of a form."""
    checked = Events(parser, boundary)
    while chunk := stream.read(CHUNK):
        yield from checked.parse(chunk)
    checked.close()


def _new_file(segment: multipart.MultipartSegment, in_memory: bool) -> UploadedFile | None:
    """An empty file for a part, or None for a field."""
    kind = segment.content_type or ""
    if kind.startswith("multipart/"):
        raise MultiPartParserError("A part contains further parts. Please send each file as a part of the form.")
    if segment.header("Content-Transfer-Encoding", "").strip().lower() not in _PLAIN:
        raise MultiPartParserError("A part has a Content-Transfer-Encoding. Please send the file as it is.")
    if _sent_name(segment) is None:
        return None
    if in_memory:
        return InMemoryUploadedFile(io.BytesIO(), segment.name, UNNAMED, kind, 0, segment.charset)
    return TemporaryUploadedFile(UNNAMED, kind, 0, segment.charset)


def _sent_name(segment: multipart.MultipartSegment) -> bytes | None:
    """A file's name as it was sent, or in UTF-8 if its encoding is declared; None for a field."""
    encoded = _ENCODED_NAME.search(_QUOTED.sub('""', segment.header("Content-Disposition", "")))
    if encoded is None:
        return None if segment.filename is None else segment.filename.encode("latin-1")
    name = unquote_to_bytes(encoded[2])
    try:
        return name.decode(encoded[1] or "utf-8").encode()
    except (UnicodeError, LookupError):
        return name


def _check_numbers(files: int, fields: int) -> None:
    if files > settings.DATA_UPLOAD_MAX_NUMBER_FILES:
        raise TooManyFilesSent
    if fields > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
        raise TooManyFieldsSent


def _file_name(name: str) -> str:
    """A file's name without folders and unprintable characters. Spaces of all kinds are kept."""
    last = re.split(r"[/\\]", name)[-1]
    name = "".join(one for one in last if one.isprintable() or unicodedata.category(one) == "Zs")
    return name if name.strip(" .") else UNNAMED


def _field(name: str, content: bytes, charset: str | None) -> str:
    """A field's value. It may identify a patient, so its encoding is never guessed."""
    try:
        text = content.decode(charset or "utf-8")
        text.encode()  # half a character fits in no database and no response
    except (ValueError, LookupError):
        raise MultiPartParserError(f"The field '{name[:50]}' is not text in UTF-8.") from None
    return text
