"""Pages of webhooks and their deliveries, for the owner or the managers of the owning department."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts.identity import identify
from webapp.http import keyset
from webapp.http.sentences import in_words
from webapp.notifications import access, services
from webapp.notifications.models import WEBHOOK_EVENTS, Payload
from webapp.refusals import Refused
from webapp.studies.outbox.models import Delivery


@require_safe
@never_cache
@login_required
def webhook(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = access.webhook(identify(request), pk)
    page = keyset.page(Delivery.objects.filter(destination=str(found.pk)), request)
    return render(request, "notifications/webhook.html", {"webhook": found, "page": page})


@require_POST
@never_cache
@login_required
def add(request: HttpRequest, slug: str = "") -> HttpResponse:
    identity = identify(request)
    department = access.managed_department(identity, slug) if slug else None
    events = [event for event in request.POST.getlist("events") if event in WEBHOOK_EVENTS]
    payload = next((value for value in Payload.values if value == request.POST.get("payload")), Payload.IDS)
    try:
        webhook, secret = services.create_webhook(
            identity, request.POST.get("url", "").strip(), events, department, payload
        )
    except Refused as refusal:
        messages.error(request, in_words(refusal.code, refusal.detail))
        return redirect("department-notifications", slug) if slug else redirect("notifications")
    # The response itself shows the secret, because the secret must not be stored anywhere, such as in a session.
    return render(request, "notifications/webhook.html", {"webhook": webhook, "secret": secret, "page": None})


@require_POST
@login_required
def test(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = access.webhook(identify(request), pk)
    services.send_test(found)
    return redirect("webhook", found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = identify(request)
    found = access.webhook(identity, pk)
    if request.method != "POST":
        what = _("Its waiting deliveries are dropped.")
        context = {"name": found.url, "what": what, "keep": reverse("webhook", args=[pk])}
        return render(request, "administration/delete.html", context)
    services.delete_webhook(identity, found)
    return (
        redirect("department-notifications", found.department.slug) if found.department else redirect("notifications")
    )


@require_POST
@login_required
def send_again(request: HttpRequest, pk: UUID, delivery: UUID) -> HttpResponse:
    identity = identify(request)
    found = access.webhook(identity, pk)
    sent = Delivery.objects.filter(destination=str(found.pk), pk=delivery).first()
    if sent is None:
        raise Http404
    services.send_again(identity, found, sent)
    return redirect("webhook", found.pk)
