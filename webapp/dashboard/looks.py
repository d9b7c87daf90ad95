"""A user's choice of language and colours, and the translations for scripts."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import JavaScriptCatalog

from webapp.http import languages
from webapp.notifications.models import Reader

THEME_COOKIE = "theme"
#: Values of the meta tag "color-scheme".
THEMES = (("light dark", _("as the system")), ("light", _("light")), ("dark", _("dark")))


def theme(request: HttpRequest) -> str:
    """The colour theme chosen in this browser."""
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in dict(THEMES) else THEMES[0][0]


@csrf_exempt  # changes only the appearance; a token would set a cookie on each page, including shared ones
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Store a language or theme in a cookie. For a signed-in user, also store the language, for all their browsers."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    response = redirect(back if safe else "home")
    language, chosen_theme = request.POST.get("language"), request.POST.get("theme")
    if language in dict(settings.LANGUAGES):
        languages.keep(response, language)
        if request.user.is_authenticated:
            Reader.objects.update_or_create(person=request.user, defaults={"language": language})
    if chosen_theme in dict(THEMES):
        languages.keep_cookie(response, THEME_COOKIE, chosen_theme)
    return response


def restore(sender: Any, response: HttpResponse, user: User, **kwargs: Any) -> None:
    """Receiver of django-allauth's signal for sign-ins: set the user's stored language in this browser."""
    if reader := Reader.objects.filter(person=user).first():
        languages.keep(response, reader.language)


@require_safe
@cache_control(private=True, max_age=3600)
def javascript_words(request: HttpRequest, language: str) -> HttpResponseBase:
    """Translations for scripts, from Django's catalogue. The URL has the language, so that browsers can cache it."""
    with translation.override(language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE):
        return JavaScriptCatalog.as_view(packages=["webapp.dashboard"])(request)
