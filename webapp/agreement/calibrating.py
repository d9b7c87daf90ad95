"""The page on which managers choose, apply and undo a calibration on their department's own images."""

from dataclasses import asdict
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from webapp.accounts.identity import identify
from webapp.agreement import charts, local
from webapp.agreement.features import ANSWERS
from webapp.agreement.forms import CalibrationForm
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import access, calibrations, permissions
from webapp.departments.models import Calibration, Department
from webapp.http.sentences import in_words
from webapp.ops.services import present_model
from webapp.refusals import Refused
from webapp.reviews import prevalence
from webapp.statistics import Estimate
from webapp.studies import meaning
from webapp.studies.choices import ResultGroup


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def calibration(request: HttpRequest, slug: str) -> HttpResponse:
    """Show how the model does on the department's own images. POST applies the chosen calibration."""
    identity = identify(request)
    department = access.visible_department(identity, slug, permissions.may_manage)
    posted = request.method == "POST"
    form = CalibrationForm(request.POST if posted else request.GET)
    bundle = present_model()
    context: dict[str, Any] = {"department": department, "form": form, "bundle": bundle}
    context["in_force"] = calibrations.in_force(bundle, [department.pk]).get(department.pk)
    if not form.is_valid():
        return _page(request, context, 400)
    chosen = form.cleaned_data
    images = local.judged(department, bundle, chosen["since"], chosen["until"])
    context["sick"] = sum(image.sick for image in images)
    context["well"] = len(images) - context["sick"]
    try:
        context |= _proposal(department, images, chosen["signs"], chosen["no_signs"])
        if posted:
            if chosen["seen"] != context["seen"]:
                raise Refused("calibration_changed", "The verdicts have changed since the page was shown.")
            calibrations.apply(identity, department, bundle, **asdict(context["choice"]))
            return redirect("calibration", slug)
    except Refused as refused:
        context["refusal"] = in_words(refused.code, refused.detail)
    record(identity, Action.VIEW, department)
    return _page(request, context, 409 if posted else 200)


@require_POST
@login_required
def undo(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    identity = identify(request)
    department = access.visible_department(identity, slug, permissions.may_manage)
    calibrations.undo(identity, department, pk)
    return redirect("calibration", slug)


def _page(request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
    context |= {
        "fewest": local.FEWEST,
        "enough": local.ENOUGH,
        "most": local.MOST,
        "history": Calibration.objects.filter(department=context["department"]).select_related("chosen_by")[:10],
    }
    return render(request, "agreement/calibration.html", context, status=status)


def _proposal(department: Department, images: list[local.Judged], signs: int, no_signs: int) -> dict[str, Any]:
    """The template context for the chosen images. Raises the same errors as :func:`webapp.agreement.local.choose`."""
    share = prevalence.of(department).share
    choice = local.choose(images, share, signs, no_signs)
    return {
        "choice": choice,
        "seen": f"{choice.unclear_from:.9f} {choice.positive_from:.9f}",
        "candidates": local.candidates(images, choice),
        "before": charts.reliability(local.reliability(images, [image.score for image in images])),
        "after": charts.reliability(local.reliability(images, local.calibrated(images))),
        "curve": charts.curve(local.curve(images)),
        "of_100": round(100 * share) or 1,
        "answers": [
            (
                group,
                choice.answers["pneumonia"][group],
                choice.answers["normal"][group],
                _predictive_value(choice, group, share),
            )
            for group in ANSWERS
        ],
    }


def _predictive_value(choice: local.Choice, group: ResultGroup, prevalence: float) -> Estimate | None:
    """The share of pneumonias among children with this answer."""
    found = meaning.of_answer(choice.answers, group, prevalence)
    return Estimate(found.share, found.low, found.high, found.images) if found else None
