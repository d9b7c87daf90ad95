"""Every route in Django's URL configuration, and an actor that requests them."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.views.generic import RedirectView
from django.views.generic.edit import ProcessFormView

from tests import dicomweb, modality
from tests.webapp import resumable

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """A URL with the names of its parameters, such as ``/images/{pk}/``, and a method that it accepts."""

    path: str
    method: str
    name: str

    @property
    def names(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@functools.cache
def routes() -> list[Route]:
    """Return each route except those of Django's admin site."""
    all_routes = {
        Route(path, method, name)
        for path, name, view in _views(get_resolver().url_patterns, "/")
        if not path.startswith("/admin/")
        for method in _methods(view)
    }
    return sorted(all_routes, key=lambda route: (route.path, METHODS.index(route.method)))


def admin_paths() -> list[str]:
    return sorted({path for path, _, _ in _views(get_resolver().url_patterns, "/") if path.startswith("/admin/")})


def _views(patterns: Any, prefix: str) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for pattern in patterns:
        path = prefix + _readable(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.name or "", pattern.callback


def _readable(pattern: Any) -> str:
    text = str(pattern)
    if isinstance(pattern, RoutePattern):
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", text)
    # A regular expression: keep its named groups, without the groups nested in them.
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"{\1}", text)
    return re.sub(r"[\^$\\]|\.\*\$?", "", text)


def _methods(view: Any) -> set[str]:
    """Return a view's methods: a class names them by its functions, a function by its response to an unknown method."""
    if kind := getattr(view, "cls", None) or getattr(view, "view_class", None):
        if issubclass(kind, RedirectView):
            return {"GET"}
        # In Django's form views PUT does the same as POST.
        same = getattr(kind, "put", None) is ProcessFormView.put
        names = [method for method in METHODS if method.lower() in kind.http_method_names]
        return {method for method in names if hasattr(kind, method.lower()) and not (same and method == "PUT")}
    request = RequestFactory().generic("NONE", "/")
    request.user, request.session = User(pk=0, is_superuser=True), {}
    try:
        answer = view(request, **dict.fromkeys(_arguments(view), "x"))
    except Exception:
        return {"GET", "POST"}  # the view checks the method itself, or not at all
    return set(answer["Allow"].split(", ")) & set(METHODS) if answer.status_code == 405 else {"GET", "POST"}


def _arguments(view: Any) -> list[str]:
    code = getattr(view, "__wrapped__", view)
    while hasattr(code, "__wrapped__"):
        code = code.__wrapped__
    return list(code.__code__.co_varnames[1 : code.__code__.co_argcount])


@dataclass
class Actor:
    """A client that sends requests.

    Attributes:
        client: Django's test client, signed in.
        values: returns the values for the parameters in a route's URL.
    """

    client: Client
    values: Callable[[Route], dict[str, Any]]
    #: Whether the changes of each request are rolled back.
    rolls_back: bool = True

    def path(self, route: Route) -> str:
        values = self.values(route)
        return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), route.path)

    def ask(self, route: Route, body: Any = None) -> Any:
        """Send a request and return the response."""
        path, values = self.path(route), self.values(route)
        if body:  # it may have the same placeholders as URLs
            by_name = {f"{{{name}}}": str(value) for name, value in values.items()}
            body = {
                name: by_name.get(value, value) if isinstance(value, str) else value for name, value in body.items()
            }
        cookies = self.client.cookies.copy()
        cache.clear()  # the rate limits count requests there
        with transaction.atomic():
            if path.startswith(resumable.UPLOADS):
                answer = self.client.generic(route.method, path, b"", resumable.PART, headers=resumable.BEGINNING)
            elif path.startswith("/dicomweb/") and route.method == "POST":
                instance = dicomweb.file(modality.image())
                answer = self.client.generic(route.method, path, dicomweb.body(instance), dicomweb.TYPE)
            else:
                answer = self.client.generic(route.method, path) if body is None else self._send(route, path, body)
            if answer.streaming:
                answer.content_of_stream = b"".join(answer.streaming_content)
            transaction.set_rollback(self.rolls_back)
        self.client.cookies = cookies
        return answer

    def _send(self, route: Route, path: str, body: Any) -> Any:
        send = getattr(self.client, route.method.lower())
        first = (value[0] if isinstance(value, list) and value else value for value in body.values())
        if any(hasattr(value, "read") for value in first):
            return send(path, body)
        if path.startswith(("/api/", "/predict")):
            return send(path, body, content_type="application/json")
        return send(path, body)


def text_of(answer: Any) -> bytes:
    content: bytes = answer.content_of_stream if answer.streaming else answer.content
    return content + repr(sorted(answer.headers.items())).encode()
