"""Middleware of our own. All of it runs under asyncio without taking a thread while the view waits."""

from asyncio import iscoroutinefunction
from collections.abc import Callable
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.module_loading import import_string
from whitenoise.middleware import WhiteNoiseMiddleware

from webapp.observability import correlation

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


def _nothing(request: HttpRequest) -> None:
    """What the members of :class:`Together` are given to call in turn, which they never do."""


class Together:
    """Middlewares of others, passed in one step.

    Under asyncio Django sends each hook of each of them through a thread and back, which costs a request more time than
    all of them need. Their ``process_request`` only prepares what is looked up later, so here it runs at once, and so
    does ``process_view``, except where it reads a form. Their ``process_response`` runs in one thread for all, where
    there is a session to save, else at once.
    """

    sync_capable = async_capable = True
    MEMBERS = (
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    )

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._members = [import_string(member)(_nothing) for member in self.MEMBERS]
        self.process_view: Callable[..., Any] = self._view
        self.process_template_response: Callable[..., Any] = self._template_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = self._asynchronous_view
            self.process_template_response = self._asynchronous_template_response

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._asynchronous(request)
        early, entered = self._enter(request)
        return self._leave(request, early or self.get_response(request), entered)

    async def _asynchronous(self, request: HttpRequest) -> Any:
        early, entered = self._enter(request)
        response = early or await self.get_response(request)
        if getattr(getattr(request, "session", None), "modified", True):
            return await sync_to_async(self._leave)(request, response, entered)
        return self._leave(request, response, entered)

    def _enter(self, request: HttpRequest) -> tuple[Any, int]:
        """An answer that needs no view, if there is one, and how many members the request has passed."""
        for passed, member in enumerate(self._members, 1):
            if hasattr(member, "process_request") and (response := member.process_request(request)):
                return response, passed
        return None, len(self._members)

    def _leave(self, request: HttpRequest, response: Any, entered: int) -> Any:
        for member in reversed(self._members[:entered]):
            if hasattr(member, "process_response"):
                response = member.process_response(request, response)
        return response

    def _view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        for member in self._members:
            if hasattr(member, "process_view") and (response := member.process_view(request, view, args, kwargs)):
                return response
        return None

    async def _asynchronous_view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if request.method in ("GET", "HEAD", "OPTIONS") or getattr(view, "csrf_exempt", False):
            return self._view(request, view, args, kwargs)
        return await sync_to_async(self._view)(request, view, args, kwargs)

    def _template_response(self, request: HttpRequest, response: Any) -> Any:
        for member in reversed(self._members):
            if hasattr(member, "process_template_response"):
                response = member.process_template_response(request, response)
        return response

    async def _asynchronous_template_response(self, request: HttpRequest, response: Any) -> Any:
        return self._template_response(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        for member in reversed(self._members):
            if hasattr(member, "process_exception") and (response := member.process_exception(request, exception)):
                return response
        return None


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


@sync_and_async_middleware
def request_ids(get_response):
    """Give each request an id, or keep the one that a proxy or client has given it, and say it in the answer."""

    # What begins here is not ended: each request has a context of its own, and Django logs an error after the last
    # middleware.
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            name = correlation.accepted(request.headers.get(correlation.HEADER))
            correlation.begin(request_id=name)
            response = await get_response(request)
            response.headers[correlation.HEADER] = name
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        name = correlation.accepted(request.headers.get(correlation.HEADER))
        correlation.begin(request_id=name)
        response = get_response(request)
        response.headers[correlation.HEADER] = name
        return response

    return synchronous
