"""Middleware of our own. Both run under asyncio without taking a thread while the view waits."""

from asyncio import iscoroutinefunction

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


@sync_and_async_middleware
def static_files(get_response):
    """WhiteNoise, which by itself is synchronous and would hold a thread for every client that waits."""
    whitenoise = WhiteNoiseMiddleware(lambda request: None)

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            if not request.path_info.startswith(whitenoise.static_prefix):
                return await get_response(request)
            return await sync_to_async(whitenoise)(request) or await get_response(request)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        return whitenoise(request) or get_response(request)

    return synchronous


@sync_and_async_middleware
def content_security_policy(get_response):
    """Only this server's own scripts, styles and images."""

    def mark(response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            return mark(await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        return mark(get_response(request))

    return synchronous
