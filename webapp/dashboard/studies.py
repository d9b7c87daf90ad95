"""A study's page: its progress, and its images in the requested order and group."""

from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dashboard import counted
from webapp.dashboard.identity import viewer
from webapp.dashboard.lists import query_params, values
from webapp.dashboard.rows import shown
from webapp.departments import permissions
from webapp.http.long_polling import hold, may_wait
from webapp.studies.access import visible_study
from webapp.studies.api.filters import StudyImageFilters
from webapp.studies.api.lists import narrowed, sort_key
from webapp.studies.choices import Priority, Status
from webapp.studies.models import Patient, Study
from webapp.studies.progress import Progress, current_progress
from webapp.studies.services import opening, pauses
from webapp.studies.states import study_states
from webapp.studies.waiting import until_changed

PAGE = 50
#: Parameters that do not filter the images: the number of the page, and those of a page that polls for changes.
NOT_FILTERS = ("page", "seen", "wait")
ORDERS = {
    "": gettext_lazy("as uploaded"),
    "-probability": gettext_lazy("highest probability first"),
    "probability": gettext_lazy("lowest probability first"),
}


def _study(request: HttpRequest, pk: UUID) -> Study:
    return visible_study(viewer(request), pk)


@require_safe
@never_cache
def study(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _study(request, pk)
    record(viewer(request), Action.VIEW, found)
    return render(request, "dashboard/study.html", _context(request, found))


@require_safe
@never_cache
def study_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The changing part of a study's page. ``?wait=`` delays the response until more than ``seen`` images are done."""
    found = _study(request, pk)
    held = None
    if may_wait(request):
        state = study_states([pk])[pk]
        if not state.is_final and str(state.done) == request.GET.get("seen"):
            held = hold(request, partial(until_changed, Study, pk, state))
    return held or render(request, "dashboard/_study.html", _context(request, found))


@require_POST
def study_close(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Close an open study, so that it expects no more files."""
    found = visible_study(viewer(request), pk, permissions.may_add_to)
    opening.close(viewer(request), found)
    return redirect(found)


def _context(request: HttpRequest, found: Study) -> dict[str, Any]:
    identity, progress = viewer(request), current_progress(found)
    params = {name: value for name, value in query_params(request).items() if name not in NOT_FILTERS}
    filters = values(StudyImageFilters, params)
    ordering = filters.pop("ordering", "created_at")
    # Prefetch reads patients only for the page. A join would look them up for all of the study's images.
    rows = shown(found.images).prefetch_related(Prefetch("patient", Patient.objects.only("identifier")))
    images = narrowed(rows, identity, filters, one_owner=True, ordering=ordering)
    ordered: Any = images.order_by(sort_key(ordering), "-pk" if ordering.startswith("-") else "pk")
    return {
        "study": found,
        "progress": progress,
        "pause": None if progress.is_final else pauses.awaited_by(Priority.BULK, found.department_id),
        "may_cancel": permissions.may_cancel(identity, found),
        "may_change": permissions.may_change(identity, found),
        "may_retry": permissions.may_change(identity, found)
        and not found.cancelled_at
        and progress.counts[Status.FAILED] > 0
        and found.images.filter(status=Status.FAILED).exclude(file="").exists(),
        "may_delete": permissions.may_delete(identity, found),
        "may_export": permissions.may_follow(identity, found),
        "may_review": permissions.may_review(identity, found),
        "may_add": permissions.may_add_to(identity, found) and not found.cancelled_at,
        "final": progress.is_final,
        "page": Paginator(ordered, PAGE).get_page(request.GET.get("page")),
        "page_user": identities.page_user(request),
        "params": params,
        "query": urlencode(params),
        "groups": _groups(found, progress, params),
        "orders": [(value, words, _link(params, ordering=value)) for value, words in ORDERS.items()],
    }


def _groups(found: Study, progress: Progress, params: dict[str, str]) -> list[tuple[str, str, int, str, bool]]:
    """Links to the images of each result, and to failed ones: CSS class, words, number, address, whether chosen."""
    outside = found.department is not None and found.department.label_outside_training
    links = [
        (progress.results.get(group), tone, label, {"group": group, "status": ""})
        for group, tone, _, label in counted.words(label_outside_training=outside)
    ]
    failed = progress.counts[Status.FAILED]
    links.append((failed, "failed", gettext("Could not be read"), {"group": "", "status": "failed"}))
    chosen = {name: params.get(name, "") for name in ("group", "status")}
    return [
        (tone, label, number, _link(params, **filters), filters == chosen)
        for number, tone, label, filters in links
        if number
    ]


def _link(params: dict[str, str], **changes: str) -> str:
    changed = {name: value for name, value in {**params, **changes}.items() if value}
    return f"?{urlencode(changed)}" if changed else "?"
