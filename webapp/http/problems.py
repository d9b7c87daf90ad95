"""Errors as RFC 9457 ``application/problem+json``. Each has a code for programs and a sentence for people."""

import logging
import math
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation, TooManyFilesSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from rest_framework import exceptions, status
from rest_framework.response import Response

from webapp.http.codes import STATUSES, phrase
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
CODES = {
    "throttled": "rate_limited",
    "parse_error": "malformed_request",
    "unsupported_media_type": "unsupported_request_format",
}
#: The authentication schemes in the header WWW-Authenticate of each 401.
CHALLENGE = "Token, Bearer"
#: Detail of the 403 for a form whose page was loaded before its user signed in or out.
CSRF_DETAIL = (
    "This page is out of date, or its cookies are missing: you may have signed in or out since it was opened. Nothing "
    "was changed. Please reload the page and try again."
)


class Problem(exceptions.APIException):
    """An error of the API with its own status, code and sentence."""

    def __init__(self, status_code: int, code: str, detail: str, wait: float | None = None) -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.code = code
        # REST Framework turns these two into the headers Retry-After and WWW-Authenticate.
        self.wait = wait
        self.auth_header = CHALLENGE if status_code == status.HTTP_401_UNAUTHORIZED else None


def problem_of(error: Refused | StorageUnavailable) -> Problem:
    """Convert an error of the domain or the storage to an HTTP problem."""
    if isinstance(error, Refused):
        return Problem(STATUSES[error.code], error.code, error.detail, error.retry_after)
    logger.error("the storage is unavailable: %s", error)
    return Problem(503, "storage_unavailable", "The storage does not answer. Please try again in a few minutes.")


def answer(request: HttpRequest, error: Refused | StorageUnavailable | Problem) -> HttpResponse:
    """The response to a refusal outside the API's views: a problem document for programs, a page for people."""
    problem = error if isinstance(error, Problem) else problem_of(error)
    if not wants_problem(request):
        context = {"detail": in_words(problem.code, str(problem.detail))}
        return render(request, "refused.html", context, status=problem.status_code)
    return _document(problem)


def _document(problem: Problem) -> HttpResponse:
    document = body(problem.status_code, problem.code, str(problem.detail))
    response = JsonResponse(document, status=problem.status_code, content_type=CONTENT_TYPE)
    if problem.auth_header:
        response.headers["WWW-Authenticate"] = problem.auth_header
    if problem.wait is not None:
        response.headers["Retry-After"] = str(math.ceil(problem.wait))
    return response


def body(status_code: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "type": f"urn:pneumoqueue:problem:{code}",
        "title": phrase(status_code),
        "status": status_code,
        "detail": detail,
        "code": code,
        **more,
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Exception handler for Django REST Framework that returns problem documents."""
    if isinstance(error, Refused | StorageUnavailable):
        error = problem_of(error)
    if isinstance(error, SuspiciousOperation):
        error = _suspicious(error)
    if isinstance(error, exceptions.PermissionDenied) and str(error.detail).startswith("CSRF Failed"):
        error = Problem(403, "csrf_failed", CSRF_DETAIL)  # from REST Framework's session authentication
    # Imported here because REST Framework's views import this module, through the authentication in the settings.
    from rest_framework.views import exception_handler as drf_handler

    response = drf_handler(error, context)
    if response is None:
        return None
    if isinstance(error, Http404):
        error = exceptions.NotFound("This does not exist, or you may not see it.")
    more = {}
    if isinstance(error, exceptions.ValidationError):
        code, detail = "invalid_request", sentence(error.detail)
        if isinstance(error.detail, dict):
            more["errors"] = {field: sentence(value) for field, value in error.detail.items()}
    elif isinstance(error, exceptions.APIException):
        code, detail = str(error.get_codes()), str(error.detail)
    else:
        code, detail = "forbidden", "You may not do this."
    response.data = body(response.status_code, CODES.get(code, code), detail, **more)
    response.content_type = CONTENT_TYPE
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler for 400: requests that Django refuses before or while a view reads them."""
    if isinstance(exception, MultiPartParserError):
        return answer(request, Problem(400, "malformed_request", f"The form cannot be read: {exception}"))
    if isinstance(exception, DisallowedHost) and "text/html" not in request.headers.get("Accept", ""):
        return _document(_suspicious(exception))  # administrators test a new service with a program, at any address
    if isinstance(exception, SuspiciousOperation):
        return answer(request, _suspicious(exception))
    return answer(request, Problem(400, "malformed_request", "The request is malformed."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's 403 for a form whose token is missing or outdated, such as on a page from before signing in."""
    logger.warning("a form was refused: %s", reason)
    return answer(request, Problem(403, "csrf_failed", CSRF_DETAIL))


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The response of django-allauth's pages to a form that is sent too often, such as one that sends mails."""
    return answer(request, Problem(429, "rate_limited", "That was too often. Please try again in a few minutes."))


def _suspicious(error: SuspiciousOperation) -> Problem:
    """Convert Django's errors while reading a request, which REST Framework does not handle."""
    if isinstance(error, DisallowedHost):
        return Problem(
            400,
            "host_not_allowed",
            "This service does not answer under the name that the request was sent to. Its administrator can add the "
            "name to the setting ALLOWED_HOSTS.",
        )
    if isinstance(error, TooManyFilesSent):
        limit = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        return Problem(413, "too_many_files", f"At most {limit} files can be sent at once. Please send the rest apart.")
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "file_too_large", "The request is too large.")
    return Problem(400, "malformed_request", "The request is malformed, or has too many fields.")


def sentence(detail: Any) -> str:
    """Join REST Framework's errors of an invalid request into one text."""
    if isinstance(detail, dict):
        return " ".join(f"{field}: {sentence(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(sentence(value) for value in detail)
    return str(detail)


def wants_problem(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/dicomweb/", "/predict")) or not request.accepts("text/html")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler for 404: a problem document for programs, a page for people."""
    if not wants_problem(request):
        return render(request, "404.html", status=404)
    document = body(404, "not_found", "This does not exist, or you may not see it.")
    return JsonResponse(document, status=404, content_type=CONTENT_TYPE)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler for 500: a problem document for programs, a page for people."""
    if not wants_problem(request):
        return render(request, "500.html", status=500)
    document = body(
        status.HTTP_500_INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on the server; it was logged."
    )
    return JsonResponse(document, status=500, content_type=CONTENT_TYPE)
