"""How the pages look to somebody: their language and colours, and the words of scripts."""

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
    """The colours that a browser has chosen."""
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in dict(THEMES) else THEMES[0][0]


@csrf_exempt  # changes nothing but looks; a token would set a cookie on each page, shared ones included
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep a language or colours: in a cookie, and the language of somebody with an account for all their browsers."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    response = redirect(back if safe else "home")
    language, colours = request.POST.get("language"), request.POST.get("theme")
    if language in dict(settings.LANGUAGES):
        languages.keep(response, language)
        if request.user.is_authenticated:
            Reader.objects.update_or_create(person=request.user, defaults={"language": language})
    if colours in dict(THEMES):
        languages.keep_cookie(response, THEME_COOKIE, colours)
    return response


def restore(sender: Any, response: HttpResponse, user: User, **kwargs: Any) -> None:
    """Receiver of django-allauth's signal: who signs in gets the language that they have chosen, in any browser."""
    if found := Reader.objects.filter(person=user).first():
        languages.keep(response, found.language)


@require_safe
@cache_control(private=True, max_age=3600)
def javascript_words(request: HttpRequest, language: str) -> HttpResponseBase:
    """The words of scripts, by Django's own catalogue. The language is in the address, so that browsers keep each."""
    with translation.override(language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE):
        return JavaScriptCatalog.as_view(packages=["webapp.dashboard"])(request)
