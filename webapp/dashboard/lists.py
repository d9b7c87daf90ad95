"""Pages that list images and studies, with the same filters as the API's lists."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.dashboard import counted
from webapp.dashboard.forms import ImageFilterForm, StudyFilterForm
from webapp.dashboard.identity import viewer
from webapp.dashboard.rows import NAMES, shown
from webapp.departments import permissions
from webapp.http import problems
from webapp.http.codes import STATUSES
from webapp.http.pagination import read_page
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.searches import services as searches
from webapp.searches.models import List
from webapp.studies.api.filters import Filters, ImageFilters, StudyFilters, checked
from webapp.studies.api.lists import narrowed
from webapp.studies.models import Image, Study
from webapp.studies.progress import Progress, progress_by_study

PAGE = 25
#: Number of saved views shown above a list. All are on a page of their own.
SAVED = 12
NEWEST = "-created_at"


def query_params(request: HttpRequest) -> dict[str, str]:
    """The parameters of a page's address, without the empty ones of its form."""
    return {name: value.strip() for name, value in request.GET.dict().items() if value.strip()}


def values(filters: type[Filters], params: Mapping[str, str]) -> dict[str, Any]:
    """The result of :func:`webapp.studies.api.filters.checked` for a page's parameters.

    Raises:
        Refused: ``unknown_parameter`` or ``invalid_parameter``.
    """
    try:
        return checked(filters, params)
    except ValidationError as error:
        raise Refused("invalid_parameter", problems.sentence(error.detail)) from None


@require_safe
@never_cache
def images(request: HttpRequest) -> HttpResponse:
    rows = shown(Image.objects, *NAMES)
    return _list(request, List.IMAGES, rows, ImageFilters, ImageFilterForm)


@require_safe
@never_cache
def studies(request: HttpRequest) -> HttpResponse:
    rows = Study.objects.select_related("patient", "department").only(
        "name", "created_at", "patient__identifier", "department__name", "department__label_outside_training"
    )
    return _list(request, List.STUDIES, rows, StudyFilters, StudyFilterForm)


def _list(request: HttpRequest, kind: List, rows: Any, filters: Any, form: type[StudyFilterForm]) -> HttpResponse:
    identity = viewer(request)
    params = query_params(request)
    cursor = params.pop("cursor", None)
    context: dict[str, Any] = {"kind": kind.value, "params": params, "url": reverse(kind), "rows": [], "status": 200}
    try:
        chosen = values(filters, params)
        ordering = chosen.pop("ordering", NEWEST)
        matching = narrowed(rows, identity, chosen)
        page = read_page(matching, ordering, PAGE, cursor)
        audit.record(identity, Action.LIST, rows.model)
    except Refused as refused:
        context |= {"error": in_words(refused.code, refused.detail), "status": STATUSES[refused.code]}
    else:
        places = {"next": page.next, "previous": page.previous}
        links = {
            name: f"{context['url']}?{urlencode({**params, 'cursor': place.encoded()})}"
            for name, place in places.items()
            if place
        }
        newer, older = ("previous", "next") if ordering == NEWEST else ("next", "previous")
        context |= {"rows": page.rows, "end": page.end, "newer": links.get(newer), "older": links.get(older)}
        if kind == List.STUDIES:
            context["rows"] = _with_progress(page.rows)
    departments = list(permissions.visible_departments(identity).values_list("slug", "name"))
    context |= {"form": form(params, departments), "query": urlencode(params)}
    if identity.user:
        context["saved"] = searches.of_list(identity.user, kind)[:SAVED]
    return render(request, f"dashboard/{kind}.html", context, status=context["status"])


def _with_progress(studies: list[Study]) -> list[tuple[Study, Progress, list[tuple[str, str, str, int]]]]:
    """Each study with its progress and, for each group of its results, the CSS class, word, label and number."""
    progress = progress_by_study(studies)
    # Translate once instead of for each row.
    words = {outside: counted.words(label_outside_training=outside) for outside in (False, True)}
    rows = []
    for study in studies:
        current = progress[study.pk]
        outside = study.department is not None and study.department.label_outside_training
        numbers = [
            (tone, word, label, current.results[group])
            for group, tone, word, label in words[outside]
            if group in current.results
        ]
        rows.append((study, current, numbers))
    return rows
