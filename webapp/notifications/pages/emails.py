"""Page that lists the e-mails to a person and to the departments that they manage."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.accounts.identity import identify
from webapp.http import keyset
from webapp.notifications import access


@require_safe
@never_cache
@login_required
def emails(request: HttpRequest) -> HttpResponse:
    page = keyset.page(access.emails(identify(request)), request)
    return render(request, "notifications/emails.html", {"page": page})
