"""The pages of destinations: where a department's results are sent, and the state of each delivery."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.identity import Identity, identify
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.dicom import access
from webapp.dicom.models import Destination
from webapp.dicom.services import destinations as services
from webapp.http import keyset
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.studies.outbox.models import Delivery, Silence, State


class DestinationForm(forms.ModelForm):
    secret = forms.CharField(
        label=_("Password, token or header value"),
        help_text=_("It is not shown again. Leave it blank to keep it, unless the address changes."),
        max_length=1000,
        required=False,
        widget=forms.PasswordInput({"autocomplete": "off"}),
    )

    #: The other fields follow.
    field_order = (
        "name", "protocol", "host", "port", "called_ae", "calling_ae", "tls", "commitment", "url", "sign_in",
        "sign_in_name", "secret",
    )  # fmt: skip

    class Meta:
        model = Destination
        fields = services.FIELDS
        labels = {
            "name": _("Name"),
            "protocol": _("Reached by"),
            "host": _("Host name or IP address"),
            "port": _("Port"),
            "called_ae": _("Its AE title"),
            "calling_ae": _("Our AE title"),
            "tls": _("Encrypted (TLS)"),
            "commitment": _("Ask for storage commitment"),
            "url": _("URL of its DICOMweb"),
            "sign_in": _("Signed in to"),
            "sign_in_name": _("Name of the user or of the header"),
            "sends": _("What is sent"),
            "retrieves": _("May be searched"),
            "enabled": _("Switched on"),
        }
        help_texts = {
            "commitment": _("It answers to the listener, so it has to know the listener's address."),
            "url": _("Such as https://pacs.example.org/dicom-web"),
            "sign_in_name": "",
            "called_ae": _("The destination's AE title."),
            "calling_ae": _("The destination has to know this AE title."),
            "retrieves": _(
                "Readers search it for earlier X-rays. With C-MOVE it sends them to the listener, so it has to be "
                "one of this department's senders."
            ),
        }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def destinations(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a department's destinations, how many deliveries wait or were given up for each, and a form to add one."""
    identity = identify(request)
    department = visible_department(identity, slug, permissions.may_manage)
    form = DestinationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("destination", services.create(identity, department, **form.cleaned_data).pk)
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    rows = [(one, _count(one, State.WAITING), _count(one, State.DEAD)) for one in department.destinations.all()]
    context = {"department": department, "rows": rows, "form": form}
    return render(request, "dicom/destinations.html", context, status=400 if form.errors else 200)


def _count(destination: Destination, state: str) -> int:
    return Delivery.objects.filter(state=state, destination=str(destination.pk)).count()


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def destination(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a destination with its deliveries, and change it."""
    identity = identify(request)
    found = access.destination(identity, pk)
    form = DestinationForm(request.POST or None, instance=access.destination(identity, pk))
    if request.method == "POST" and form.is_valid():
        try:
            services.change(identity, found, {name: form.cleaned_data[name] for name in form.changed_data})
            return redirect("destination", found.pk)
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    page = keyset.page(access.deliveries(found), request)
    silence = Silence.objects.filter(pk=str(found.pk), until__gt=timezone.now()).first()
    context = {"destination": found, "department": found.department, "form": form, "page": page, "silence": silence}
    return render(request, "dicom/destination.html", context, status=400 if form.errors else 200)


@require_POST
@login_required
def test(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = identify(request)
    found = access.destination(identity, pk)
    try:
        services.test(identity, found)
    except Refused as refused:
        messages.error(request, in_words(refused.code, refused.detail))
    return redirect("destination", found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    what = gettext(
        "No more results are sent to it, and waiting deliveries are dropped. Results that it already has stay there."
    )
    found = access.destination(identify(request), pk)
    return ask_and_delete(
        request, found, services.delete, name=found.name, what=what, page="destination", back="destinations"
    )


def ask_and_delete(
    request: HttpRequest, target: Any, delete: Callable[[Identity, Any], None], *, page: str, back: str, **shown: str
) -> HttpResponse:
    """Ask for a confirmation, and delete an object of a department.

    Args:
        request: a GET that asks, or a POST that confirms.
        target: the object to delete.
        delete: the function that deletes it.
        page: the name of the object's URL, to which "keep" leads.
        back: the name of the department's URL that is shown after deleting.
        shown: the object's ``name``, and ``what`` deleting it means.
    """
    if request.method == "POST":
        delete(identify(request), target)
        return redirect(back, target.department.slug)
    context = {"keep": reverse(page, args=[target.pk]), **shown}
    return render(request, "administration/delete.html", context)


@require_POST
@login_required
def send_again(request: HttpRequest, pk: UUID, delivery: UUID) -> HttpResponse:
    identity = identify(request)
    found = access.destination(identity, pk)
    row = Delivery.objects.filter(destination=str(found.pk), pk=delivery).first()
    if row is None:
        raise Http404
    try:
        services.send_again(identity, found, row)
    except Refused as refused:
        messages.error(request, in_words(refused.code, refused.detail))
    return redirect("destination", found.pk)
