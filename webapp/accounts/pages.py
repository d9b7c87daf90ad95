"""Account pages that django-allauth does not have or that differ from its own."""

from typing import TYPE_CHECKING, Any, cast

from allauth.account.decorators import reauthentication_required
from allauth.account.views import LogoutView
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts import identity as identities
from webapp.accounts import invitations
from webapp.accounts import tokens as services
from webapp.accounts.forms import SessionsForm, TokenForm
from webapp.http.caches import forget_pictures

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 50


class SignOut(LogoutView):
    """Signs a user out, and tells the browser to clear its cached pictures."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return forget_pictures(super().post(request, *args, **kwargs))


class Sessions(ListUserSessionsView):
    """A user's sessions. The user can end one of them, or all but the current one."""

    form_class = SessionsForm


@login_required
@reauthentication_required(allow_get=True)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """A user's API tokens. A new token is shown only in the response to the request that created it."""
    user = cast("User", request.user)
    form = TokenForm(request.POST if request.method == "POST" else None)
    key = ""
    if form.is_valid():
        key = services.issue(user, **form.cleaned_data, address=identities.client_address(request))
        form = TokenForm()
    page = Paginator(services.user_tokens(user), PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/tokens.html", {"form": form, "key": key, "page": page})


@login_required
@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    own_tokens = services.user_tokens(cast("User", request.user)).filter(pk=pk)
    if services.revoke(identities.identify(request), own_tokens):
        messages.success(request, _("The token is revoked."))
    return redirect("account-tokens")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest, key: str) -> HttpResponse:
    """Accept an invitation. A user who is not signed in registers or signs in first."""
    found = invitations.find(key)
    if found is None:
        return render(request, "accounts/invitation_over.html", status=404)
    if request.method == "POST" and request.user.is_authenticated:
        invitations.accept(key, request.user)
        messages.success(request, _("You have accepted the invitation."))
        return redirect("home")
    request.session[invitations.SESSION_KEY] = key
    context = {"invitation": found, "may_register": settings.REGISTRATION != "closed"}
    return render(request, "accounts/invitation.html", context)
