"""Language of responses: the user's choice for people, always English for programs."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from webapp.http.problems import wants_problem


class LanguageMiddleware(LocaleMiddleware):
    """Django's middleware, which follows the cookie, then the browser's preference; not for programs and files."""

    def process_request(self, request: HttpRequest) -> None:
        if _is_for_people(request):
            super().process_request(request)
        else:
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return super().process_response(request, response) if _is_for_people(request) else response


def _is_for_people(request: HttpRequest) -> bool:
    return not request.path.startswith(settings.STATIC_URL) and not wants_problem(request)


def keep(response: HttpResponse, language: str) -> None:
    """Have the browser request this language from now on."""
    keep_cookie(response, settings.LANGUAGE_COOKIE_NAME, language)


def keep_cookie(response: HttpResponse, name: str, value: str) -> None:
    """Store a display setting in the browser for a year."""
    response.set_cookie(
        name,
        value,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
