"""Page of failed images, ZIPs and deliveries, which can be acknowledged or tried again."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.http import keyset
from webapp.notifications import access, services
from webapp.notifications import failures as failed
from webapp.studies.models import Image
from webapp.studies.outbox import services as outbox

#: Largest number of ZIPs, and of deliveries, that the page shows. Both are few, and settled ones leave the list.
MAX_SHOWN = 20


@require_safe
@never_cache
@login_required
def failures(request: HttpRequest) -> HttpResponse:
    identity = identify(request)
    page = keyset.page(failed.images(identity), request)
    context = {
        "page": page,
        "archives": () if page.newest else failed.archives(identity).order_by("-created_at", "-id")[:MAX_SHOWN],
        "dead": () if page.newest else failed.dead_letters(identity).order_by("-created_at")[:MAX_SHOWN],
    }
    record(identity, Action.LIST, Image, filters=["failed"])
    return render(request, "notifications/failures.html", context)


@require_POST
@login_required
def acknowledge_image(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = identify(request)
    image = next(iter(failed.images(identity).filter(pk=pk).order_by("-created_at", "-id")[:1]), None)
    if image is None:
        raise Http404
    services.acknowledge(identity, image)
    return redirect("failures")


@require_POST
@login_required
def acknowledge_archive(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = identify(request)
    archive = next(iter(failed.archives(identity).filter(pk=pk).order_by("-created_at")[:1]), None)
    if archive is None:
        raise Http404
    services.acknowledge(identity, archive)
    return redirect("failures")


@require_POST
@login_required
def settle_delivery(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send a dead letter again, or discard it."""
    identity = identify(request)
    delivery = access.delivery(identity, pk)
    if request.POST.get("do") == "discard":
        services.discard(identity, delivery)
    else:
        outbox.send_again([delivery.pk])
        record(identity, Action.SEND_AGAIN, delivery)
    return redirect("failures")
