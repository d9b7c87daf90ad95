"""The pages on which readers search their department's PACS and fetch studies from it."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.departments.models import Department
from webapp.dicom import access
from webapp.dicom.models import Progress, Search
from webapp.dicom.services import searching
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.studies.models import Patient

#: Number of searches on a page.
LISTED = 20


class SearchForm(forms.Form):
    """The criteria of a search, with the names of :data:`webapp.dicom.services.searching.CRITERIA`."""

    pacs: Any = forms.ModelChoiceField(None, label="PACS", empty_label=None)
    patient_id = forms.CharField(
        label=_("Patient ID"), max_length=64, required=False, validators=[searching.no_wildcards]
    )
    patient_name = forms.CharField(
        label=_("Patient's name"),
        help_text=_("Or the beginning of the name, family name first: Family, Given"),
        max_length=64,
        required=False,
        validators=[searching.no_wildcards],
    )
    birth_date = forms.DateField(label=_("Date of birth"), required=False, widget=forms.DateInput({"type": "date"}))
    date_from = forms.DateField(label=_("Taken from"), required=False, widget=forms.DateInput({"type": "date"}))
    date_until = forms.DateField(label=_("Taken until"), required=False, widget=forms.DateInput({"type": "date"}))
    modality = forms.ChoiceField(
        label=_("Modality"),
        required=False,
        choices=[("", _("CR and DX")), *((one, one) for one in searching.MODALITIES)],
    )
    accession_number = forms.CharField(
        label=_("Accession number"), max_length=16, required=False, validators=[searching.no_wildcards]
    )

    def __init__(self, pacs: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ModelChoiceField, self.fields["pacs"]).queryset = pacs
        self.fields["pacs"].initial = pacs.first()


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def pacs(request: HttpRequest, slug: str) -> HttpResponse:
    """Search a department's PACS, optionally for one of its patients, and show the latest searches."""
    identity = identify(request)
    department = visible_department(identity, slug, permissions.may_search_pacs)
    form = SearchForm(access.searchable(department), request.POST or None, initial=_of_patient(request, department))
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(searching.search(identity, form.cleaned_data.pop("pacs"), form.cleaned_data))
        except Refused as refused:
            form.add_error(None, in_words(refused.code, refused.detail))
    searches = Search.objects.filter(department=department).select_related("destination").order_by("-created_at")
    context = {"department": department, "form": form, "searches": searches.defer("found")[:LISTED]}
    return render(request, "dicom/pacs.html", context, status=400 if form.errors else 200)


def _of_patient(request: HttpRequest, department: Department) -> dict[str, str]:
    """Initial criteria when coming from a patient's page. The URL has only the patient's key, since logs hold URLs."""
    try:
        key = UUID(request.GET.get("patient", ""))
    except ValueError:
        return {}
    patient = Patient.objects.filter(pk=key, department=department).first()
    return {"patient_id": patient.identifier} if patient else {}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def search(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show what a search has found, and fetch studies."""
    identity = identify(request)
    found = access.search(identity, pk)
    refusal = ""
    if request.method == "POST":
        try:
            searching.retrieve(identity, found, request.POST.getlist("study"))
            return redirect(found)
        except Refused as refused:
            refusal = in_words(refused.code, refused.detail)
    record(identity, Action.VIEW, found)
    retrievals = {one.study_uid: one for one in found.retrievals.all()}
    present_uids = searching.present_studies(found)
    rows = [{**study, "here": study["study_uid"] in present_uids, "retrieval": retrievals.get(study["study_uid"])}
            for study in found.found]  # fmt: skip
    context = {
        "search": found,
        "department": found.department,
        "rows": rows,
        "missing": [row for row in rows if not row["here"] and not row["retrieval"]],
        "refusal": refusal,
        "waits": any(one.state == Progress.WAITING for one in (found, *retrievals.values())),
        "most": searching.MOST_FOUND,
    }
    return render(request, "dicom/search.html", context, status=400 if refusal else 200)


@require_POST
@login_required
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = identify(request)
    found = access.retrieval(identity, pk)
    searching.cancel(identity, found)
    return redirect(found.search)
