"""Pages about accounts that also need other apps: invitations by administrators, and deleting an account."""

from typing import TYPE_CHECKING, cast

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts import identity as identities
from webapp.accounts import invitations as services
from webapp.dashboard.forms import InvitationForm
from webapp.departments import members, permissions
from webapp.http.caches import forget_pictures
from webapp.refusals import Refused
from webapp.studies.services import person_deletion

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitations(request: HttpRequest) -> HttpResponse:
    """Invite a person, and list the open invitations."""
    _require_may_invite(request)
    form = InvitationForm(request.POST if request.method == "POST" else None)
    created, link = None, ""
    if form.is_valid():
        created, link = services.invite(identities.identify(request), form.cleaned_data["email"])
        form = InvitationForm()
    page = Paginator(services.open_ones(), PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "made": created, "link": link}
    return render(request, "dashboard/invitations.html", context)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, pk: int) -> HttpResponse:
    _require_may_invite(request)
    if services.revoke(identities.identify(request), services.open_ones().filter(pk=pk)):
        messages.success(request, _("The invitation is revoked."))
    return redirect("invitations")


def _require_may_invite(request: HttpRequest) -> None:
    if not permissions.may_invite(request.user):
        raise Refused("not_allowed", "Only administrators can invite people.")


@login_required
@reauthentication_required(allow_get=True)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def delete_account(request: HttpRequest) -> HttpResponse:
    """Show what is deleted together with the user's account, and delete it."""
    user = cast("User", request.user)
    is_last = permissions.is_last_administrator(user)
    if request.method == "POST":
        if is_last:
            raise Refused("last_administrator", members.LAST_ADMINISTRATOR)
        person_deletion.delete_person(user, identities.identify(request))
        logout(request)
        messages.success(request, _("Your account is deleted, with everything that belonged to you."))
        return forget_pictures(redirect("home"))
    by_model = person_deletion.count_of_person(user)
    counts = {gettext(str(model._meta.verbose_name_plural)): number for model, number in by_model.items()}
    context = {"counts": counts, "is_last": is_last, "managed_alone": members.managed_alone(user)}
    return render(request, "dashboard/delete_account.html", context)
