"""The page about agreement with readers, and the same report as CSV and PDF."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from webapp.accounts.identity import identify
from webapp.agreement import charts, selection, table
from webapp.agreement.figures import Report
from webapp.agreement.forms import ChoiceForm
from webapp.agreement.models import MonthlyCount
from webapp.audit.models import Action
from webapp.audit.services import record


@require_safe
@never_cache
@login_required
def agreement(request: HttpRequest) -> HttpResponse:
    form, report = _form_and_report(request)
    record(identify(request), Action.LIST, MonthlyCount)
    context: dict[str, Any] = {"form": form, "report": report, "query": request.GET.urlencode()}
    if report:
        calibration = report.together.calibration
        context |= {
            "sensitivity": charts.by_month(report.months, "sensitivity"),
            "specificity": charts.by_month(report.months, "specificity"),
            "reliability": charts.reliability(calibration.tenths) if calibration else [],
            "drifts": [(drift, charts.bars(drift)) for drift in report.incoming.features] if report.incoming else [],
        }
    return render(request, "agreement/agreement.html", context, status=200 if report else 400)


@require_safe
@never_cache
@login_required
def agreement_csv(request: HttpRequest) -> HttpResponse:
    form, report = _form_and_report(request)
    if report is None:
        return render(request, "agreement/agreement.html", {"form": form}, status=400)
    record(identify(request), Action.EXPORT, MonthlyCount)
    return _file(table.as_csv(report).encode(), "text/csv; charset=utf-8", "agreement.csv", attachment=True)


@require_safe
@never_cache
@login_required
def agreement_pdf(request: HttpRequest) -> HttpResponse:
    # Imported here because it takes a second and few requests need it.
    from webapp.agreement import printed

    form, report = _form_and_report(request)
    if report is None:
        return render(request, "agreement/agreement.html", {"form": form}, status=400)
    record(identify(request), Action.EXPORT, MonthlyCount)
    return _file(printed.draw(report, form.chosen()), "application/pdf", "agreement.pdf", attachment=False)


def _form_and_report(request: HttpRequest) -> tuple[ChoiceForm, Report | None]:
    """The form, and its report; None if the form is not valid."""
    identity = identify(request)
    form = ChoiceForm(request.GET, identity)
    return form, selection.report_for(identity, **form.chosen()) if form.is_valid() else None


def _file(content: bytes, kind: str, name: str, *, attachment: bool) -> HttpResponse:
    response = HttpResponse(content, content_type=kind)
    response.headers["Content-Disposition"] = str(content_disposition_header(attachment, name))
    return response
