"""Receive a request's body before a thread handles the request, and never more bytes than its path allows."""

import asyncio
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from tempfile import SpooledTemporaryFile
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

from webapp.http import content_types
from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable

#: Keys in the ASGI scope's extensions: the reason why a body was not received, the file that contains the body, and the
#: object that received the body instead of a file.
EXTENSION, FILE, RECEIVER = "pneumoqueue.body", "pneumoqueue.body_file", "pneumoqueue.body_receiver"
CHUNK = 2**20
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")

Headers = Iterable[tuple[bytes, bytes]]


def limit(path: str) -> int:
    """Largest size, in bytes, of the body of a request to this path."""
    limits = (max_bytes for pattern, max_bytes in settings.BODY_LIMITS.items() if re.fullmatch(pattern, path))
    return int(next(limits, settings.BODY_LIMIT))


def refusal(request: HttpRequest) -> Refused | StorageUnavailable | None:
    """Why the body of a request was not received, if it was not."""
    found: Refused | StorageUnavailable | None = _extension(request, EXTENSION)
    return found


def receiver(request: HttpRequest | Any) -> Any:
    """The object that received the body of a request instead of a file; None if there is none."""
    return _extension(request, RECEIVER)


def _extension(request: HttpRequest | Any, key: str) -> Any:
    return (request.META.get("asgi.scope", {}).get("extensions") or {}).get(key)


class ReceivedBodies:
    """ASGI middleware that receives each body completely before it calls the application, and sets its length.

    So a slow client holds no thread, and WSGI, which requires a body's length, gets one. If a body is too large, by its
    ``Content-Length`` or by the bytes received so far, or if its type is malformed, the application gets an empty body
    and the reason, see :func:`refusal`. The server reads and discards what the client still sends.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _offers_another_protocol(scope["headers"]):
            send = _closing(send)
        max_bytes = limit(scope["path"])
        scope = _as_wsgi_takes_it(scope)
        try:
            scope = _checked(scope, max_bytes)
        except Refused as reason:
            await self.app(_refused(scope, reason), _empty, send)
            return
        if not _has_body(scope["headers"]):
            await self.app(scope, receive, send)
            return
        key, target, in_memory = _target(scope)
        with target as body:
            try:
                length = await _spool(receive, body, max_bytes, in_memory)
            except OSError:
                await self.app(_refused(scope, StorageUnavailable("no space for a request's body")), _empty, send)
                return
            if length is None:
                return
            if length > max_bytes:
                await self.app(_refused(scope, _too_large(max_bytes)), _empty, send)
                return
            if not length:  # for example an empty form sent in chunks
                await self.app(_with_length(scope, 0), _empty, send)
                return
            if key == FILE:
                body.seek(0)
            await self.app(_extended(_with_length(scope, length), key, body), _empty, send)


def _target(scope: Any) -> tuple[str, AbstractContextManager[Any], int]:
    """The key in the extensions, the file or object that receives a body, and the bytes that it accepts in memory."""
    for path, name in settings.BODY_RECEIVERS.items():
        if re.fullmatch(path, scope["path"]):
            return RECEIVER, import_string(name)(_content_type(scope["headers"])), 0
    in_memory = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    return FILE, SpooledTemporaryFile(max_size=in_memory, dir=settings.FILE_UPLOAD_TEMP_DIR), in_memory


def reads_files(app: Any) -> Any:
    """Have a WSGI application read each body directly from its file. Through ASGI, the event loop would read the body
    for the application's thread.
    """

    def run(environ: dict[str, Any], start_response: Any) -> Any:
        if file := (environ["asgi.scope"].get("extensions") or {}).get(FILE):
            environ["wsgi.input"] = file
        return app(environ, start_response)

    return run


def _as_wsgi_takes_it(scope: Any) -> Any:
    """The request's scope without what WSGI cannot express.

    In WSGI, a header with an underscore looks like one with a hyphen, which proxies may set and clients must not.
    """
    return {
        **scope,
        "headers": [header for header in scope["headers"] if b"_" not in header[0]],
        "query_string": _NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], scope["query_string"]),
    }


def _checked(scope: Any, max_bytes: int) -> Any:
    """The request's scope with a content type that Django accepts.

    Raises:
        Refused: the type is malformed, the body cannot be received, or its declared length exceeds the limit.
    """
    if _has_body(scope["headers"]) and _offers_another_protocol(scope["headers"]):
        raise Refused(
            "malformed_request",
            "Requests with a body cannot switch to HTTP/2. Please send this by HTTP/1.1, without the header Upgrade.",
        )
    if _declared_length(scope["headers"]) > max_bytes:
        raise _too_large(max_bytes)
    headers = [
        (name, content_types.plain(value) if name == b"content-type" else value) for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}


def _too_large(max_bytes: int) -> Refused:
    return Refused("file_too_large", f"A request may have at most {max_bytes / 2**20:.0f} MB here.")


def _offers_another_protocol(headers: Headers) -> bool:
    """Whether the client offers HTTP/2, as Java's does. The server's parser takes all that follows for HTTP/2."""
    return any(name == b"upgrade" for name, _ in headers)


async def _spool(receive: Any, file: Any, max_bytes: int, in_memory: int) -> int | None:
    """Write a body to a file and return its length; a length above ``max_bytes`` means that the rest was not received.

    Return None if the client has disconnected.

    Args:
        in_memory: bytes that the file accepts before it uses the disk.
    """
    length, more = 0, True
    parts: list[bytes] = []  # the server passes on little at a time, and one switch to a thread can write it all
    waiting = 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        more = message.get("more_body", False)
        length += len(part)
        if length > max_bytes:
            break
        parts.append(part)
        waiting += len(part)
        if more and waiting < CHUNK:
            continue
        if length > in_memory:
            await asyncio.to_thread(file.writelines, parts)
        else:
            file.writelines(parts)
        parts, waiting = [], 0
    return length


async def _empty() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0") for name, value in headers
    )


def _content_type(headers: Headers) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == b"content-type"), "")


def _declared_length(headers: Headers) -> int:
    """The length that the client declares; 0 if it declares none, so that its bytes have to be counted."""
    try:
        return max((int(value) for name, value in headers if name == b"content-length"), default=0)
    except ValueError:
        return 0


def _with_length(scope: Any, length: int) -> Any:
    scope = _without(scope, b"content-length", b"transfer-encoding")
    return {**scope, "headers": [*scope["headers"], (b"content-length", str(length).encode())]}


def _without(scope: Any, *names: bytes) -> Any:
    return {**scope, "headers": [header for header in scope["headers"] if header[0] not in names]}


def _closing(send: Any) -> Any:
    """Wrap ASGI's ``send`` to close the connection after the response."""

    async def close(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return close


def _refused(scope: Any, reason: Refused | StorageUnavailable) -> Any:
    return _extended(_with_length(_without(scope, b"content-type"), 0), EXTENSION, reason)


def _extended(scope: Any, key: str, value: Any) -> Any:
    return {**scope, "extensions": {**(scope.get("extensions") or {}), key: value}}
