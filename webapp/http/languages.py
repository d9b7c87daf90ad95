"""In which language an answer is: for people in the one that they have chosen, for programs always in English."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from webapp.http.problems import wants_problem


class LanguageMiddleware(LocaleMiddleware):
    """Django's, which looks at the cookie and then at what the browser asks for; but not for programs and files."""

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
    """Have a browser ask in a language from now on."""
    keep_cookie(response, settings.LANGUAGE_COOKIE_NAME, language)


def keep_cookie(response: HttpResponse, name: str, value: str) -> None:
    """Have a browser keep how pages look to it, for a year."""
    response.set_cookie(
        name,
        value,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
