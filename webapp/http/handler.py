"""How requests get from asyncio into threads: in one turn where nothing waits, and into threads that stay."""

from asyncio import iscoroutinefunction
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import Resolver404, resolve

#: So many parts of an answer (rows of a table, or 4 KB of a file each) are made in one turn of a thread.
PARTS = 64


class Threads(ThreadPoolExecutor):
    """Threads that all requests share, each with its connection to the database."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(self._in_order, fn, *args, **kwargs)

    @staticmethod
    def _in_order(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        # A request's end drops a broken connection in one thread only, and not always in the one that has it.
        close_old_connections()
        return fn(*args, **kwargs)


class Handler(ASGIHandler):
    """Django's handler, without a new thread for each request.

    A new thread means a new connection to the database and a new start for everything that is kept by thread, which
    together cost more than the request. Django also sends whatever is synchronous through that thread step by step; a
    request whose view does not wait passes everything in one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._threads = Threads(settings.WEB_THREADS, thread_name_prefix="request")
        self._at_once = BaseHandler()
        self._at_once.load_middleware()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        async with ThreadSensitiveContext(executor=self._threads):
            await self.handle(scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        if _waits(request):
            return await super().get_response_async(request)
        return sent_as_made(await sync_to_async(self._at_once.get_response)(request))


def sent_as_made(response: HttpResponseBase) -> HttpResponseBase:
    """Send what a synchronous view streams as it is made.

    Django by itself would collect all of it before the first byte goes out, and an export may exceed the memory.
    Each turn may run in another of the threads, so a stream must not keep a cursor of the database between its parts.
    """
    if isinstance(response, StreamingHttpResponse) and not response.is_async:
        response.streaming_content = _parts(iter(cast(Iterator[bytes], response.streaming_content)))
    return response


async def _parts(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    def several() -> bytes:
        return b"".join(islice(parts, PARTS))

    while part := await sync_to_async(several)():
        yield part


def _waits(request: HttpRequest) -> bool:
    """Whether a request's view is asynchronous, as those are that wait."""
    try:
        return iscoroutinefunction(resolve(request.path_info).func)
    except Resolver404:
        return False
