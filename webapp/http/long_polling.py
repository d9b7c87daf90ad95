"""Long polling for synchronous views: a waiting request holds no thread and no database connection.

A view that has nothing new yet returns :func:`hold`, which frees its thread at once. When the awaited event happens or
the time is up, the request is passed to Django a second time and answered.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from webapp.refusals import Refused

#: Key in the ASGI scope's extensions. Its presence tells a view that the request may wait.
EXTENSION = "pneumoqueue.hold"
#: Headers that describe a body. The second pass of a request has no body, so these are removed.
BODY_HEADERS = (b"content-length", b"content-type", b"transfer-encoding")

Until = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class _Hold:
    until: Until
    seconds: float
    then: str


def wait_seconds(request: HttpRequest) -> float:
    """The ``wait`` parameter of a GET, capped at ``MAX_WAIT_SECONDS``; 0 if it is absent.

    Raises:
        Refused: ``invalid_parameter`` if it is not a number of seconds.
    """
    if request.method != "GET":
        return 0.0
    try:
        seconds = float(request.GET.get("wait", 0))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise Refused("invalid_parameter", "The parameter 'wait' must be a number of seconds, such as 30.")
    return min(seconds, float(settings.MAX_WAIT_SECONDS))


def may_wait(request: HttpRequest | Any) -> bool:
    """Whether the client asks to wait and :func:`hold` would let its request wait."""
    return wait_seconds(request) > 0 and _offer(request) is not None


def _offer(request: HttpRequest | Any) -> dict[str, _Hold] | None:
    extensions: dict[str, Any] = request.META.get("asgi.scope", {}).get("extensions", {})
    return extensions.get(EXTENSION)


def hold(
    request: HttpRequest | Any, until: Until, *, seconds: float | None = None, then: str = ""
) -> HttpResponse | None:
    """Let a request wait.

    Args:
        request: Django's or REST Framework's.
        until: returns the awaitable to wait for in the event loop. It may take forever, and must not raise.
        seconds: the longest wait; by default, the client's ``?wait=``.
        then: the path and query of the GET that gives the response; by default, those of the request itself.

    Returns:
        The response for the view to return. None if the request does not wait: it does not ask to, it has already
        waited, or Django does not run inside :class:`LongPolling`, as with a plain WSGI server.
    """
    offer = _offer(request)
    seconds = wait_seconds(request) if seconds is None else seconds
    if offer is None or seconds <= 0:
        return None
    offer["hold"] = _Hold(until, seconds, then or request.get_full_path())
    return HttpResponse(status=204)


class LongPolling:
    """ASGI middleware that carries out :func:`hold`."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offer: dict[str, _Hold] = {}

        async def send_unless_held(message: Any) -> None:
            if not offer:
                await send(message)

        extensions = {**(scope.get("extensions") or {}), EXTENSION: offer}
        await self.app({**scope, "extensions": extensions}, receive, send_unless_held)
        if offer and await _wait(offer["hold"], receive):
            await self.app(_again(scope, offer["hold"].then), _no_body, send)


async def _wait(held: _Hold, receive: Any) -> bool:
    """Wait until a hold ends, and return whether the client is still connected."""
    waiting = asyncio.ensure_future(held.until())
    left = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((waiting, left), timeout=held.seconds, return_when=asyncio.FIRST_COMPLETED)
        return not left.done()
    finally:
        for task in (waiting, left):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _again(scope: Any, target: str) -> Any:
    """The scope of a GET request for a path and query, based on the first request's scope."""
    path, _, query = target.partition("?")
    return {
        **scope,
        "method": "GET",
        "path": unquote_to_bytes(path).decode(),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [header for header in scope["headers"] if header[0] not in BODY_HEADERS],
    }


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
