"""Pages of the worklist: the list, and its images one after the other."""

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.dashboard import counted
from webapp.dashboard.forms import WorklistFilterForm
from webapp.dashboard.identity import viewer
from webapp.dashboard.lists import SAVED, query_params, values
from webapp.dashboard.rows import NAMES, shown
from webapp.dashboard.views import image_context
from webapp.departments import permissions
from webapp.http.codes import STATUSES
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.reviews import opening, services
from webapp.reviews.sections import SECTIONS
from webapp.reviews.worklist import COUNTED, Worklist
from webapp.searches import services as searches
from webapp.searches.models import List
from webapp.studies.access import OWNER, visible_image
from webapp.studies.api.filters import WorklistFilters
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Image
from webapp.studies.services import urgency

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 25
#: Filters that the links with counts set. All other filters apply to these links too.
CHOSEN = ("stage", "stat", "group")


@require_safe
@login_required
@never_cache
def worklist(request: HttpRequest) -> HttpResponse:
    identity = viewer(request)
    user = cast("User", request.user)
    params = query_params(request)
    cursor = params.pop("cursor", None)
    context: dict[str, Any] = {"kind": List.WORKLIST.value, "params": params, "url": reverse("worklist"), "status": 200}
    visible = permissions.visible_departments(identity)
    departments = list(visible.values_list("slug", "name", "label_outside_training"))
    try:
        found = Worklist(identity, values(WorklistFilters, params))
        page = found.page(PAGE, cursor, shown(Image.objects, *NAMES))
        others = {name: value for name, value in params.items() if name not in CHOSEN}
        opening.note_openings(page.rows, user)
        audit.record(identity, Action.LIST, Image)
    except Refused as refused:
        context |= {"error": in_words(refused.code, refused.detail), "status": STATUSES[refused.code]}
    else:
        links = {"before": page.previous, "after": page.next}
        context |= {name: f"?{urlencode({**params, 'cursor': place})}" for name, place in links.items() if place}
        outside = any(wants for slug, _name, wants in departments if slug == params.get("department", slug))
        numbers = _numbers(found, params, others, label_outside_training=outside)
        context |= {"rows": page.rows, "numbers": numbers, "reviews": found.reviews}
    form = WorklistFilterForm(params, [(slug, name) for slug, name, _wants in departments])
    context |= {"form": form, "query": urlencode(params)}
    context["saved"] = searches.of_list(user, List.WORKLIST)[:SAVED]
    return render(request, "dashboard/worklist.html", context, status=context["status"])


def _numbers(
    found: Worklist, params: dict[str, str], others: dict[str, str], *, label_outside_training: bool
) -> list[dict[str, Any]]:
    """Links to parts of the worklist, with the number of images in each."""
    counts, groups = found.counts(), counted.words(label_outside_training=label_outside_training)
    links: list[tuple[str, str, dict[str, str]]] = [
        ("", _("All"), {}),
        ("stat", "STAT", {"stat": "true"}),
        *((tone, label, {"group": group}) for group, tone, _short, label in groups),
        ("", _("Second reading"), {"stage": ReviewStage.SECOND.value}),
        ("", _("Readers disagree"), {"stage": ReviewStage.DISAGREED.value}),
    ]
    chosen = {name: params[name] for name in CHOSEN if name in params}
    numbers = []
    for tone, words, filters in links:
        section_values = {name: value == "true" if name == "stat" else value for name, value in filters.items()}
        sections = [rank for rank in counts if section_values.items() <= SECTIONS[rank].items()]
        more = any(counts[rank] > COUNTED for rank in sections)
        number = sum(min(counts[rank], COUNTED) for rank in sections)
        address = f"{reverse('worklist')}?{urlencode({**others, **filters})}"
        if number or not filters or filters == chosen:
            numbers.append({
                "tone": tone, "words": words, "number": f"{number:,}{'+' * more}", "url": address,
                "chosen": filters == chosen,
            })  # fmt: skip
    return numbers


@require_safe
@login_required
@never_cache
def worklist_image(request: HttpRequest, pk: UUID) -> HttpResponse:
    """An image of the worklist, with links to the previous and next images. The filters are in the address."""
    identity = viewer(request)
    found = visible_image(identity, pk, permissions.may_review)
    if not found.group:
        return redirect(found)
    audit.record(identity, Action.VIEW, found)
    params = query_params(request)
    before, after = Worklist(identity, values(WorklistFilters, params)).neighbours(found)
    query = f"?{urlencode(params)}" if params else ""
    user, is_prefetch = cast("User", request.user), "HX-Request" in request.headers
    addresses = {
        name: reverse("worklist-image", args=[key]) + query if key else ""
        for name, key in (("before", before), ("after", after))
    }
    context = {
        **addresses,
        "worklist": reverse("worklist") + query,
        "then": addresses["after"] or reverse("worklist") + query,
        "query": query,
        # The script fetches the next image's main part ahead, and asks who has it open only when it shows it.
        **({"base": "dashboard/bare.html"} if is_prefetch else {"opened_by": opening.by_others([found], user)}),
    }
    response = render(request, "dashboard/worklist_image.html", {**image_context(request, found), **context})
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_POST
@login_required
def worklist_open(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Record that a page shows an image, and tell the page who else has it open and whether it was reviewed."""
    found = visible_image(viewer(request), pk, permissions.may_review, Image.objects.only(*OWNER, "stage"))
    user = cast("User", request.user)
    left = request.POST.get("left", "")
    opening.keep_open(found, user, _key(left) if left else None)
    others = opening.by_others([found], user)
    readers = [{"name": other["reader"], "since": other["opened_at"].isoformat()} for other in others]
    return JsonResponse({"stage": found.stage, "readers": readers})


@require_POST
@login_required
def worklist_mark(request: HttpRequest) -> HttpResponse:
    """Apply an action to the images that are chosen in the list."""
    identity = viewer(request)
    keys = [_key(text) for text in request.POST.getlist("images")][:COUNTED]
    images = list(Image.objects.visible_to(identity).filter(pk__in=keys).prefetch_related("readings"))
    action = request.POST.get("action")
    if action == "second":
        done = services.ask_for_second(identity, images)
        text = _("sent to a second reader. The others have no verdict yet, or more than one.")
    elif action in ("stat", "routine"):
        allowed = [image for image in images if permissions.may_mark_stat(identity, image)]
        done = urgency.mark_images(identity, allowed, action == "stat")
        text = _("marked as STAT.") if action == "stat" else _("not STAT any more.")
    else:
        raise Http404
    messages.success(
        request, _("%(done)s of %(all)s images: %(what)s") % {"done": done, "all": len(keys), "what": text}
    )
    filters = QueryDict(request.POST.get("query", "")[:1000]).urlencode()
    return redirect(reverse("worklist") + (f"?{filters}" if filters else ""))


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
