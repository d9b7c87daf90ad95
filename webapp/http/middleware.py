"""Django middleware of this service."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import is_valid_path

from webapp.http import bodies, problems
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable

GetResponse = Callable[[HttpRequest], HttpResponse]


def request_ids(get_response: GetResponse) -> GetResponse:
    """Give each request an id, or keep the one from a proxy or client, and return it in the response."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request_id = correlation.accepted(request.headers.get(correlation.HEADER))
        # Never reset: each request has its own context, and Django logs errors after the last middleware has run.
        correlation.begin(request_id=request_id)
        response = get_response(request)
        response.headers[correlation.HEADER] = request_id
        return response

    return middleware


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Allow only this server's own scripts, styles and images. Django 6 has a middleware for it."""
    # Chromium also checks where the response to a form redirects, such as to the hospital's own sign-in.
    forms = " ".join(["'self'", *settings.CSP_FORM_TARGETS])
    policy = (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {forms}"
    )

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return middleware


def slashes(get_response: GetResponse) -> GetResponse:
    """Serve an address with or without its trailing slash, instead of redirecting as Django does. A client follows a
    redirect with a GET, if at all, so its upload would be lost.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if problems.wants_problem(request) or request.method not in ("GET", "HEAD"):
            other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
            if not is_valid_path(path) and is_valid_path(other):
                request.path = request.path.removesuffix(path) + other
                request.path_info = other
        return get_response(request)

    return middleware


def _not_allowed(request: HttpRequest, bare: HttpResponseNotAllowed) -> HttpResponse:
    """Explain a 405. Django's own response is empty, and users see it when they sign in after a form's session has
    ended.
    """
    detail = "Nothing is shown at this address: it only takes what a form sends. Please go back to the form."
    response = problems.answer(request, problems.Problem(405, "method_not_allowed", detail))
    response.headers["Allow"] = bare.headers["Allow"]
    return response


class RefusalMiddleware:
    """In every Django view, turn refusals of the domain and bodies that were not received into error responses.

    For REST Framework's views, :func:`webapp.http.problems.exception_handler` handles the same refusals.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if reason := bodies.refusal(request):
            return problems.answer(request, reason)
        if refused := self._unusable(request):
            return problems.answer(request, refused)
        response = self.get_response(request)
        return _not_allowed(request, response) if isinstance(response, HttpResponseNotAllowed) else response

    @staticmethod
    def _unusable(request: HttpRequest) -> Refused | None:
        if request.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
            return Refused("content_encoding_not_supported", "Please send the request's body without Content-Encoding.")
        # PostgreSQL cannot handle a null character in any lookup.
        if (
            "\0" in request.path_info
            or "%00" in request.META["QUERY_STRING"]
            or "\0" in "".join(request.COOKIES.values())
        ):
            return Refused("malformed_request", "The request has a null character in its address or in a cookie.")
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Refused | StorageUnavailable):
            return problems.answer(request, exception)
        return None
