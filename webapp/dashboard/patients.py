"""Pages of patients."""

import unicodedata
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.request import Request

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dashboard import views
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.http.pagination import CursorPages, Rows
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.studies.access import visible_patient
from webapp.studies.api.lists import narrowed
from webapp.studies.choices import Sex
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import deletion, patients


class PatientForm(forms.ModelForm):
    sex = forms.ChoiceField(choices=[("", _("not known")), *Sex.choices], label=_("Sex"), required=False)

    class Meta:
        model = Patient
        fields = ("identifier", "name", "birth_date", "sex")
        widgets = {"birth_date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}
        labels = {"identifier": _("Identifier"), "name": _("Name"), "birth_date": _("Date of birth")}
        help_texts = {
            "identifier": _("The identifier that you or your department use. Each patient has a different one."),
            "birth_date": _(
                "Gives the age for images that come without one. Correcting it also corrects their results."
            ),
        }


def _patient(request: HttpRequest, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Patient:
    return visible_patient(identities.identify(request), pk, permission)


def _page(request: HttpRequest, rows: Rows, ordering: str) -> dict[str, Any]:
    """A page of rows and the links to the next and previous page, paginated as in the API."""
    pages = CursorPages()
    shown = pages.paginate_queryset(rows, Request(request), SimpleNamespace(ordering=ordering))
    links = pages.get_next_link(), pages.get_previous_link()
    older, newer = links if ordering.startswith("-") else links[::-1]
    return {"rows": shown, "end": pages.found.end, "older": older, "newer": newer}


@require_safe
@never_cache
def listing(request: HttpRequest) -> HttpResponse:
    """All patients that the user may see, latest first."""
    identity = identities.identify(request)
    text = unicodedata.normalize("NFC", request.GET.get("search", "").strip()[:200])
    rows: Any = Patient.objects.select_related("department")
    matching = narrowed(rows, identity, {"search": text} if text else {})
    context = _page(request, matching, "-created_at")
    record(identity, Action.LIST, Patient, filters=["search"] if text else [])
    return render(request, "dashboard/patients.html", {**context, "search": text})


@require_safe
@never_cache
def patient(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A patient and their images, oldest first."""
    found, identity = _patient(request, pk), identities.identify(request)
    images: Any = found.images.select_related("study").prefetch_related("readings")
    context = {
        **_page(request, images, "created_at"),
        "patient": found,
        "may_change": permissions.may_change(identity, found),
        "may_delete": permissions.may_delete(identity, found),
        "may_search_pacs": found.department and permissions.may_search_pacs(identity, found.department),
    }
    record(identity, Action.VIEW, found)
    return render(request, "dashboard/patient.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def new(request: HttpRequest) -> HttpResponse:
    identity = identities.ensure(identities.identify(request))
    departments = permissions.departments_to_upload_to(identity)
    row = Patient()
    if request.method == "POST":
        identities.require_page_user(request, request.POST.get(identities.PAGE_USER_FIELD))
        row = patients.new(identity, department_for(identity, request.POST.get("department", "")))
    response = _form(request, row, identity, departments=departments)
    identities.remember(response, identity)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _form(request, _patient(request, pk, permissions.may_change), identities.identify(request))


def _form(request: HttpRequest, row: Patient, identity: Identity, **more: Any) -> HttpResponse:
    """Show the form of a patient, and save it."""
    title = str(row)  # before the form changes it
    form = PatientForm(request.POST or None, instance=row, label_suffix="")
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(patients.save(row, identity, **form.cleaned_data))
        except Refused as refused:
            form.add_error("identifier", in_words(refused.code, refused.detail))
    context = {"form": form, "patient": row, "title": title, "page_user": identities.page_user(request), **more}
    return render(request, "dashboard/patient_form.html", context, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def merge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for the other patient, show the consequences, and merge the two patients."""
    kept = _patient(request, pk, permissions.may_delete)
    if request.method == "POST":
        chosen = _patient(request, _id(request), permissions.may_delete)
        patients.merge(kept, chosen, identities.identify(request))
        return redirect(kept)
    text = patients.identifier_of(request.GET.get("other", ""))
    other = Patient.objects.filter(**kept.ownership, identifier=text).exclude(pk=kept.pk).first() if text else None
    counts = deletion.count([other]) if other else {}
    context = {
        "patient": kept,
        "text": text,
        "other": other,
        "studies": counts.get(Study, 0),
        "images": counts.get(Image, 0),
    }
    return render(request, "dashboard/patient_merge.html", context)


def _id(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("other", ""))
    except ValueError:
        raise Refused("patients_not_mergeable", "Please first choose the patient to merge.") from None


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for confirmation, and delete a patient with all their studies and images."""
    return views.delete(request, _patient(request, pk, permissions.may_delete), "patients")
