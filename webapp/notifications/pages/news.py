"""Page of a person's news."""

from typing import TYPE_CHECKING, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.http import keyset
from webapp.notifications import access, services

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@require_safe
@never_cache
@login_required
def news(request: HttpRequest) -> HttpResponse:
    own = access.news(cast("User", request.user)).select_related("study", "image", "department")
    return render(request, "notifications/news.html", {"page": keyset.page(own, request)})


@require_POST
@login_required
def read(request: HttpRequest) -> HttpResponse:
    """Mark the chosen news as read; all of the user's news if the request has no ids."""
    chosen = [int(pk) for pk in request.POST.getlist("news") if pk.isdecimal() and len(pk) < 19]
    services.mark_read(request.user, chosen or None)
    return redirect("news")
