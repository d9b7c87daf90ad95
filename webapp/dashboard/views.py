"""The pages. What they show comes from the same querysets and services as the API's answers.

No page is kept by the browser: what it showed must be gone after signing out, and going back must show what is new.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.http import problems
from webapp.http.long_polling import hold, may_wait
from webapp.refusals import Refused
from webapp.reviews import services as reviews
from webapp.reviews.models import Verdict
from webapp.storage.folder import StorageUnavailable
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.files import signatures
from webapp.studies.models import Image, Study
from webapp.studies.progress import of_study
from webapp.studies.services import cancellation, deletion, uploads
from webapp.studies.states import study_states
from webapp.studies.waiting import ImageState, until_changed

RECENT = 12
PAGE = 50


def _identity(request: HttpRequest) -> Identity:
    try:
        return identities.identify(request)
    except Refused:
        return Identity()


def _image(request: HttpRequest, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Image:
    return visible_image(_identity(request), pk, may)


def _study(request: HttpRequest, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Study:
    return visible_study(_identity(request), pk, may)


# --- uploading ------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    return _home(request)


def _home(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    # A guest gets their cookie here, so that several uploads at once belong to one guest.
    identity = identities.ensure(_identity(request))
    images = Image.objects.visible_to(identity).filter(study=None).prefetch_related("readings")
    context = {
        "error": error,
        "recent": images.sent_by(identity, RECENT),
        "studies": Study.objects.visible_to(identity).sent_by(identity, 5),
        "departments": permissions.departments_to_upload_to(identity),
        "max_mb": settings.MAX_IMAGE_BYTES // 2**20,
        "max_files": settings.MAX_STUDY_FILES,
        "page_user": identities.page_user(request),
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
    }
    if context["recent"] or context["studies"]:
        record(identity, Action.LIST, Image)
    response = render(request, "dashboard/home.html", context, status=status)
    identities.remember(response, identity)
    return response


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """The drop zone's form, for browsers without JavaScript."""
    throttle: Any = UploadThrottle()  # made for REST Framework's requests, of which a page's has all that it asks
    if not throttle.allow_request(request, None):
        return _home(request, "Too many uploads in a short time. Please wait a minute.", 429)
    files = request.FILES.getlist("files")
    if request.POST.getlist("files") or sum(len(found) for _, found in request.FILES.lists()) > len(files):
        return _home(request, "Files are only taken in the field 'files', so nothing was uploaded.", 400)
    if not files:
        return _home(request, "Please choose an image first.", 400)
    identities.require_page_user(request, request.POST.get(identities.PAGE_USER_FIELD))
    identity = identities.ensure(identities.identify(request))
    made: Image | Study
    try:
        department = permissions.department_for(identity, request.POST.get("department"))
        if len(files) == 1 and not signatures.is_zip(files[0]):
            made = uploads.create_image(identity, files[0], filename=str(files[0].name), department=department)
        else:
            made = uploads.create_study(identity, files, department=department)
    except (Refused, StorageUnavailable) as error:
        problem = problems.problem_of(error)
        return _home(request, str(problem.detail), problem.status_code)
    response = redirect(made)
    identities.remember(response, identity)
    return response


# --- an image -------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def image(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _image(request, pk)
    record(_identity(request), Action.VIEW, found)
    return render(request, "dashboard/image.html", _image_context(request, found))


def _image_context(request: HttpRequest, found: Image) -> dict[str, Any]:
    return {
        "image": found,
        "may_cancel": permissions.may_cancel(_identity(request), found),
        "may_delete": permissions.may_delete(_identity(request), found),
        "before": Image.objects.sent_before(found).first(),
    }


@require_safe
@never_cache
def image_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What changes of an image's page, held by ``?wait=`` until it differs from the status ``seen``."""
    found = _image(request, pk)
    held = None
    if not found.is_final and found.status == request.GET.get("seen", found.status):
        held = hold(request, partial(until_changed, Image, pk, ImageState(found.status)))
    return held or render(request, "dashboard/_image.html", {**_image_context(request, found), "swapped": True})


@require_POST
def image_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _image(request, pk, permissions.may_cancel)
    cancellation.cancel_image(found, _identity(request))
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def image_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask whether an image shall be deleted, and delete it."""
    found = _image(request, pk, permissions.may_delete)
    return _delete(request, found, found.study or "home")


@require_POST
def image_review(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A reader's verdict, from the form on an image's page."""
    found = _image(request, pk)
    verdict = request.POST.get("verdict", "")
    if verdict not in Verdict.values:
        return HttpResponseBadRequest("No such verdict.", content_type="text/plain")
    reviews.review(found, _identity(request), verdict)
    return redirect(found)


# --- a study --------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def study(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _study(request, pk)
    record(_identity(request), Action.VIEW, found)
    return render(request, "dashboard/study.html", _study_context(request, found))


@require_safe
@never_cache
def study_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What changes of a study's page, held by ``?wait=`` while as many images are done as ``seen`` says."""
    found = _study(request, pk)
    held = None
    if may_wait(request):
        state = study_states([pk])[pk]
        if not state.is_final and str(state.done) == request.GET.get("seen"):
            held = hold(request, partial(until_changed, Study, pk, state))
    return held or render(request, "dashboard/_study.html", _study_context(request, found))


def _study_context(request: HttpRequest, found: Study) -> dict[str, Any]:
    progress = of_study(found)
    images = found.images.prefetch_related("readings").order_by("created_at", "pk")
    return {
        "study": found,
        "progress": progress,
        "may_cancel": permissions.may_cancel(_identity(request), found),
        "may_delete": permissions.may_delete(_identity(request), found),
        "final": progress.is_final,
        "page": Paginator(images, PAGE).get_page(request.GET.get("page")),
    }


@require_POST
def study_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _study(request, pk, permissions.may_cancel)
    cancellation.cancel_study(found, _identity(request))
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def study_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask whether a study shall be deleted, and delete it."""
    found = _study(request, pk, permissions.may_delete)
    return _delete(request, found, "home")


def _delete(request: HttpRequest, row: Image | Study, then: Study | str) -> HttpResponse:
    if request.method == "POST":
        deletion.DELETE[type(row)](row, _identity(request))
        return redirect(then)
    counts = {str(model._meta.verbose_name_plural): number for model, number in deletion.count([row]).items()}
    return render(request, "dashboard/delete.html", {"row": row, "counts": counts})
