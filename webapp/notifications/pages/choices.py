"""Page on which a person or a department chooses which events to be notified of."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from webapp.accounts.identity import Identity, identify
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.http import languages
from webapp.notifications import access, announcing, services
from webapp.notifications.models import (
    WEBHOOK_EVENTS,
    Channel,
    Choice,
    Event,
    Language,
    Mailbox,
    Payload,
    Reader,
    Webhook,
)


class PersonForm(forms.Form):
    language = forms.ChoiceField(choices=Language.choices, label=_("Language of pages and e-mails"))


class DepartmentForm(PersonForm):
    language = forms.ChoiceField(choices=Language.choices, label=_("Language of e-mails"))
    address = forms.EmailField(
        required=False, label=_("E-mail address"), help_text=_("of the department; empty for none")
    )
    field_order = ("address", "language")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def choices(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Show and save the choices of the signed-in user or, with a slug, of a department."""
    identity = identify(request)
    department = access.managed_department(identity, slug) if slug else None
    kind = DepartmentForm if department else PersonForm
    form = kind(request.POST) if request.method == "POST" else kind(initial=_initial(identity, department))
    if request.method == "POST" and form.is_valid():
        wanted = {(event, channel) for event in Event for channel in Channel if f"{event} {channel}" in request.POST}
        services.choose(identity, wanted, department=department, **form.cleaned_data)
        messages.success(request, _("Kept."))
    context = {
        "form": form,
        "department": department,
        "rows": _rows(identity, department),
        "channels": [Channel.EMAIL] if department else list(Channel),
        "webhooks": Webhook.objects.filter(**_owner(identity, department)).order_by("created_at"),
        "events": WEBHOOK_EVENTS,
        "payloads": Payload,
        "mail": bool(settings.EMAIL_URL),
        "departments": permissions.managed_departments(identity) if not department else (),
    }
    response = render(request, "notifications/choices.html", context)
    if request.method == "POST" and form.is_valid() and not department:
        languages.keep(response, form.cleaned_data["language"])
    return response


def _owner(identity: Identity, department: Department | None) -> dict[str, Any]:
    return {"department": department} if department else {"user": identity.user}


def _initial(identity: Identity, department: Department | None) -> dict[str, str]:
    stored: Any = (
        Mailbox.objects.filter(department=department).first()
        if department
        else Reader.objects.filter(person=identity.user).first()
    )
    return {"address": getattr(stored, "address", ""), "language": stored.language if stored else get_language()}


def _rows(identity: Identity, department: Department | None) -> list[tuple[Event, list[tuple[Channel, bool]]]]:
    """Each event with its channels, and for each channel whether it is wanted."""
    owner = {"department": department} if department else {"person": identity.user}
    stored = {(choice.event, choice.channel): choice.wanted for choice in Choice.objects.filter(**owner)}
    by_default = set() if department else announcing.BY_DEFAULT
    channels = [Channel.EMAIL] if department else list(Channel)
    return [
        (event, [(channel, stored.get((event, channel), (event, channel) in by_default)) for channel in channels])
        for event in Event
    ]
