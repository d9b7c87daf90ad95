"""Pages of a department's service accounts."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.models import Token
from webapp.administration import forms
from webapp.departments import access, members


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def service_account(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """A service account's tokens, and a form that issues one. Only the response to the form shows the new token."""
    identity = identities.identify(request)
    account = access.service_account(identity, slug, pk)
    form, issued = forms.TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        issued = members.issue_token(identity, account, form.cleaned_data["name"])
        form = forms.TokenForm()
    context = {
        "department": account.department,
        "account": account,
        "tokens": account.user.api_tokens.order_by("created_at", "pk"),
        "form": form,
        "issued": issued,
    }
    return render(request, "administration/service_account.html", context, status=400 if form.errors else 200)


@require_POST
@login_required
def revoke_token(request: HttpRequest, slug: str, pk: int, token: int) -> HttpResponse:
    identity = identities.identify(request)
    tokens.revoke(identity, Token.objects.filter(pk=access.service_token(identity, slug, pk, token).pk))
    return redirect("service-account", slug, pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    identity = identities.identify(request)
    account = access.service_account(identity, slug, pk)
    if request.method == "POST":
        members.delete_service_account(identity, account)
        return redirect(account.department)
    what = _("Its tokens stop working at once. Images that it has sent to %(name)s stay there.") % {
        "name": account.department.name
    }
    context = {"name": account.user.first_name, "what": what, "keep": reverse("service-account", args=[slug, pk])}
    return render(request, "administration/delete.html", context)
