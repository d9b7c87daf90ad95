"""Pages of saved views, which are named filters of a list."""

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from webapp.accounts.identity import Identity
from webapp.dashboard.lists import values
from webapp.departments import permissions
from webapp.http.codes import STATUSES
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.searches import services
from webapp.searches.models import List

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def views(request: HttpRequest) -> HttpResponse:
    """The saved views of a list, and a form that saves the current filters of the list as another one."""
    data = request.POST if request.method == "POST" else request.GET
    kind, query = data.get("list", List.IMAGES), data.get("query", "")
    if kind not in List.values:
        raise Http404
    user = cast("User", request.user)
    context: dict[str, Any] = {"list": List(kind), "url": reverse(kind), "query": query, "status": 200}
    if request.method == "POST":
        department = _department(data.get("department", ""))
        try:
            params = dict(parse_qsl(query))
            values(services.FILTERS[List(kind)], params)
            return redirect(services.save(user, kind, data.get("name", ""), params, department))
        except Refused as refused:
            context |= {"error": in_words(refused.code, refused.detail), "status": STATUSES[refused.code]}
    managed = dict(permissions.managed_departments(Identity(user=user)).values_list("pk", "name"))
    context |= {"saved": services.of_list(user, kind), "managed": managed}
    return render(request, "dashboard/saved_views.html", context, status=context["status"])


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
