"""Receive a request's body before a thread is taken for the request, and never more of it than its path allows."""

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

#: The keys in the ASGI scope's extensions for the reason why a body was not received, for the file that has it, and
#: for what else has taken it.
EXTENSION, FILE, TAKEN = "pneumoqueue.body", "pneumoqueue.body_file", "pneumoqueue.body_taken"
CHUNK = 2**20
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")

Headers = Iterable[tuple[bytes, bytes]]


def limit(path: str) -> int:
    """Bytes that the body of a request to this path may have."""
    limits = (most for pattern, most in settings.BODY_LIMITS.items() if re.fullmatch(pattern, path))
    return int(next(limits, settings.BODY_LIMIT))


def refusal(request: HttpRequest) -> Refused | StorageUnavailable | None:
    """Why the body of a request was not received, if it was not."""
    found: Refused | StorageUnavailable | None = _extension(request, EXTENSION)
    return found


def taken(request: HttpRequest | Any) -> Any:
    """What has taken the body of a request, if something else than a file has."""
    return _extension(request, TAKEN)


def _extension(request: HttpRequest | Any, key: str) -> Any:
    return (request.META.get("asgi.scope", {}).get("extensions") or {}).get(key)


class ReceivedBodies:
    """ASGI middleware that receives each body completely before it calls the application, and sets its length.

    A slow client thus holds no thread, and WSGI, which knows no body without a length, gets one. Where a body is too
    large, by its ``Content-Length`` or by what has come of it, or its type is malformed, the application gets an empty
    one and the reason, see :func:`refusal`. The server reads and drops what the client still sends.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _offers_another_protocol(scope["headers"]):
            send = _closing(send)
        most = limit(scope["path"])
        scope = _as_wsgi_takes_it(scope)
        try:
            scope = _checked(scope, most)
        except Refused as reason:
            await self.app(_refused(scope, reason), _empty, send)
            return
        if not _has_body(scope["headers"]):
            await self.app(scope, receive, send)
            return
        key, target, in_memory = _target(scope)
        with target as body:
            try:
                length = await _spool(receive, body, most, in_memory)
            except OSError:
                await self.app(_refused(scope, StorageUnavailable("no space for a request's body")), _empty, send)
                return
            if length is None:
                return
            if length > most:
                await self.app(_refused(scope, _too_large(most)), _empty, send)
                return
            if not length:  # as of a form that was chunked and empty
                await self.app(_with_length(scope, 0), _empty, send)
                return
            if key == FILE:
                body.seek(0)
            await self.app(_extended(_with_length(scope, length), key, body), _empty, send)


def _target(scope: Any) -> tuple[str, AbstractContextManager[Any], int]:
    """What a body is written to, its key in the extensions, and how many bytes it takes without waiting for a disk."""
    for path, taker in settings.BODY_TAKERS.items():
        if re.fullmatch(path, scope["path"]):
            return TAKEN, import_string(taker)(_content_type(scope["headers"])), 0
    in_memory = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    return FILE, SpooledTemporaryFile(max_size=in_memory, dir=settings.FILE_UPLOAD_TEMP_DIR), in_memory


def reads_files(app: Any) -> Any:
    """Have a WSGI application read each body from its file: by ASGI the event loop would read it for its thread."""

    def run(environ: dict[str, Any], start_response: Any) -> Any:
        if file := (environ["asgi.scope"].get("extensions") or {}).get(FILE):
            environ["wsgi.input"] = file
        return app(environ, start_response)

    return run


def _as_wsgi_takes_it(scope: Any) -> Any:
    """A request without what WSGI cannot express.

    Headers with an underscore would pass for those with a hyphen there, which proxies set and clients must not.
    """
    return {
        **scope,
        "headers": [header for header in scope["headers"] if b"_" not in header[0]],
        "query_string": _NOT_ASCII.sub(lambda match: b"%%%02X" % match[0][0], scope["query_string"]),
    }


def _checked(scope: Any, most: int) -> Any:
    """A request with its type as Django takes it.

    Raises:
        Refused: the type cannot be understood; the body will not come, or is announced as larger than it may be.
    """
    if _has_body(scope["headers"]) and _offers_another_protocol(scope["headers"]):
        raise Refused(
            "malformed_request",
            "No body is read after an offer of HTTP/2. Please send this by HTTP/1.1, without the header Upgrade.",
        )
    if _declared_length(scope["headers"]) > most:
        raise _too_large(most)
    headers = [
        (name, content_types.plain(value) if name == b"content-type" else value) for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}


def _too_large(most: int) -> Refused:
    return Refused("file_too_large", f"A request of at most {most / 2**20:.0f} MB can be sent here.")


def _offers_another_protocol(headers: Headers) -> bool:
    """Whether a client offers HTTP/2, as Java's does: the server's parser takes whatever follows for that protocol."""
    return any(name == b"upgrade" for name, _ in headers)


async def _spool(receive: Any, file: Any, most: int, in_memory: int) -> int | None:
    """Write a body into a file, and return its length, which exceeds ``most`` where the rest was not received.

    None if the client has disconnected.

    Args:
        in_memory: so many bytes the file takes without waiting for a disk.
    """
    length, more = 0, True
    parts: list[bytes] = []  # the server hands on little at a time, and a thread's turn costs the same for all of it
    waiting = 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        more = message.get("more_body", False)
        length += len(part)
        if length > most:
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
    """The length that a client announces; 0 where it announces none, and what it sends has to be counted."""
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
    """ASGI's ``send``, which ends the connection after the answer."""

    async def close(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return close


def _refused(scope: Any, reason: Refused | StorageUnavailable) -> Any:
    return _extended(_with_length(_without(scope, b"content-type"), 0), EXTENSION, reason)


def _extended(scope: Any, key: str, value: Any) -> Any:
    return {**scope, "extensions": {**(scope.get("extensions") or {}), key: value}}
