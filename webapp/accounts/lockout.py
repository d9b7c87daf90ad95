"""The temporary lockout of a user name at a client address after too many wrong passwords or codes.

django-axes counts failures. Django reports wrong passwords to it; this module reports wrong second-factor codes.
"""

import math
from typing import TYPE_CHECKING, Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from webapp.accounts.identity import client_address
from webapp.http import problems

if TYPE_CHECKING:
    from datetime import datetime

LONGEST_NAME = 255


def attempted_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """The name under which attempts are counted: the user name, even if the user typed their e-mail address."""
    fields = credentials or request.POST
    typed = str(fields.get("username") or fields.get("email") or fields.get("login") or "")[:LONGEST_NAME]
    names = User.objects.order_by("pk").values_list("username", flat=True)
    username = names.filter(username__iexact=typed).first() or (typed and names.filter(email__iexact=typed).first())
    return username or typed.lower()


def require_open(request: HttpRequest, user: User) -> None:
    """Refuse a second-factor code while its user is locked out. The response is then that of :func:`answer`.

    Raises:
        ValidationError: the user is locked out.
    """
    credentials = {"username": user.get_username()}
    if not AxesProxyHandler.is_allowed(request, credentials):
        request.axes_locked_out = True  # type: ignore[attr-defined]  # for the middleware of django-axes
        request.axes_credentials = credentials  # type: ignore[attr-defined]
        raise ValidationError(_("There were too many wrong passwords or codes."), code="locked_out")


def count_wrong_code(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receiver of django-allauth's signal for a wrong code, which counts like a wrong password."""
    user_login_failed.send(sender=__name__, credentials={"username": user.get_username()}, request=request)


def forget(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receiver of django-allauth's signal for a password reset by link, which ends the user's lockout."""
    AccessAttempt.objects.filter(username=user.get_username()).delete()


def answer(request: HttpRequest, response: HttpResponse | None = None, credentials: Any = None) -> HttpResponse:
    """The response to a locked-out user: a problem document for programs, a page for people."""
    ends = timezone.localtime(_ends(request, credentials))
    seconds = max(1, math.ceil((ends - timezone.now()).total_seconds()))
    minutes = math.ceil(seconds / 60)
    wait = _("%(n)s minutes") % {"n": minutes} if minutes > 1 else _("one minute")
    until = f"{date_format(ends, 'H:i')} ({settings.TIME_ZONE})"
    detail = _("There were too many wrong passwords or codes. Please wait %(wait)s, until %(until)s.") % {
        "wait": wait,
        "until": until,
    }
    problem = problems.Problem(429, "locked_out", detail, wait=seconds)
    if problems.wants_problem(request):
        return problems.answer(request, problem)
    page = render(request, "accounts/locked_out.html", {"detail": detail}, status=problem.status_code)
    page.headers["Retry-After"] = str(seconds)
    return page


def _ends(request: HttpRequest, credentials: Any) -> "datetime":
    AxesProxyHandler.update_request(request)
    attempts = AccessAttempt.objects.filter(
        username=attempted_name(request, credentials),
        ip_address=client_address(request) or None,
        attempt_time__gt=get_cool_off_threshold(request),
    )
    last = attempts.order_by("-attempt_time").values_list("attempt_time", flat=True).first()
    ends: datetime = (last or timezone.now()) + get_cool_off(request)
    return ends
