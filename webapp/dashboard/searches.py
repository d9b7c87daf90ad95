"""Saved views: the filters of a list under a name."""

from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.dashboard.lists import values
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.searches import services
from webapp.searches.models import List

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@require_POST
@login_required
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a list's page, from the form on it."""
    kind = request.POST.get("list", "")
    if kind not in List.values:
        raise Http404
    params = dict(parse_qsl(request.POST.get("query", "")))
    values(services.FILTERS[List(kind)], params)
    department = _department(request.POST.get("department", ""))
    user = cast("User", request.user)
    return redirect(services.save(user, kind, request.POST.get("name", ""), params, department))


def _department(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Http404 from None


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Rename a saved view, or delete it."""
    saved = services.changeable(cast("User", request.user), pk)
    if saved is None:
        raise Http404
    error = ""
    if request.method == "POST" and "delete" in request.POST:
        saved.delete()
        return redirect(saved.list)
    if request.method == "POST":
        try:
            services.rename(saved, request.POST.get("name", ""))
            return redirect(saved)
        except Refused as refused:
            error = in_words(refused.code, refused.detail)
    return render(request, "dashboard/saved.html", {"saved": saved, "error": error}, status=400 if error else 200)
