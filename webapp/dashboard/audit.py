"""Audit pages: managers see entries of their departments, and administrators see all entries."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.accounts.identity import Identity, identify
from webapp.audit import export, people
from webapp.audit.models import Action, Entry
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.http import keyset
from webapp.http.pagination import Merged
from webapp.studies.files.results_csv import inert


class Filters(forms.Form):
    person = forms.CharField(required=False, max_length=150, label=_("Person"), help_text=_("the whole user name"))
    action = forms.ChoiceField(
        required=False,
        label=_("Action"),
        choices=[("", _("any")), *((action.value, action.label) for action in Action)],
    )
    object_id = forms.CharField(
        required=False, max_length=64, label=_("Image, study or patient"), help_text=_("its id")
    )
    since = forms.DateField(required=False, label=_("Since"), widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label=_("Until"), widget=forms.DateInput(attrs={"type": "date"}))

    def condition(self) -> Q:
        """Condition for the requested entries. Days are in UTC; the first and the last day are included."""
        data = self.cleaned_data
        condition = Q(**{name: data[name].strip() for name in ("person", "action", "object_id") if data[name]})
        if data["since"]:
            condition &= Q(created_at__gte=datetime.combine(data["since"], time.min, UTC))
        if data["until"]:
            condition &= Q(created_at__lte=datetime.combine(data["until"], time.max, UTC))
        return condition


@require_safe
@never_cache
def audit(request: HttpRequest) -> HttpResponse:
    identity, departments = _allowed(request)
    filters = Filters(request.GET)
    rows: list[Any] = []
    page = keyset.Page([], "", "")
    if filters.is_valid():
        page = keyset.page(_entries(identity, departments, filters.condition()), request)
        names = {str(department.pk): department.name for department in departments}
        rows = [(entry, names.get(entry.department_id, "")) for entry in page.rows]
    record(identity, Action.LIST, Entry, filters=sorted(name for name, value in request.GET.items() if value))
    context = {
        "filters": filters,
        "page": page,
        "rows": rows,
        "users": people.names_by_id(page.rows),
        "query": request.GET.urlencode(),
    }
    return render(request, "dashboard/audit.html", context)


@require_safe
@never_cache
def audit_csv(request: HttpRequest) -> HttpResponseBase:
    """Export the same entries as CSV, oldest first."""
    identity, departments = _allowed(request)
    filters = Filters(request.GET)
    if not filters.is_valid():
        return render(request, "dashboard/audit.html", {"filters": filters}, status=400)
    entries = Entry.objects.filter(filters.condition())
    if not permissions.is_administrator(identity.user):
        entries = entries.filter(department_id__in=[str(department.pk) for department in departments])
    record(identity, Action.EXPORT, Entry, filters=sorted(name for name, value in request.GET.items() if value))
    response = StreamingHttpResponse(_lines(entries), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


def _allowed(request: HttpRequest) -> tuple[Identity, list[Department]]:
    identity = identify(request)
    if not permissions.may_read_audit(identity):
        raise Http404
    return identity, list(permissions.managed_departments(identity))


def _entries(identity: Identity, departments: list[Department], condition: Q) -> Any:
    entries = Entry.objects.filter(condition)
    if permissions.is_administrator(identity.user):
        return entries
    return Merged(entries, [Q(department_id=str(department.pk)) for department in departments])


class _Line:
    """A file for :mod:`csv` whose ``write`` returns the text."""

    def write(self, text: str) -> str:
        return text


def _lines(entries: Any) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield "\ufeff" + writer.writerow(export.COLUMNS)
    for row in export.rows(entries):
        yield writer.writerow([inert(value) for value in row.values()])
