"""The pages. What they show comes from the same querysets and services as the API's answers.

No page is kept by the browser: what it showed must be gone after signing out, and going back must show what is new.
"""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.http import problems
from webapp.refusals import Refused
from webapp.reviews import services as reviews
from webapp.reviews.models import Verdict
from webapp.studies.api.polling import wait_seconds
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.files import signatures
from webapp.studies.models import Image, Study
from webapp.studies.progress import of_study
from webapp.studies.services import cancellation, uploads
from webapp.studies.waiting import study_states, wait_for_change

if TYPE_CHECKING:
    from django.contrib.auth.models import User

RECENT = 12
PAGE = 50


def _identity(request: HttpRequest) -> Identity:
    try:
        return identities.identify(request)
    except Refused:
        return Identity()


def _image(request: HttpRequest, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Image:
    identity = _identity(request)
    images = Image.objects.visible_to(identity).select_related("prediction", "patient", "study", "department")
    return _allowed(identity, get_object_or_404(images, pk=pk), may)


def _study(request: HttpRequest, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Study:
    identity = _identity(request)
    studies = Study.objects.visible_to(identity).select_related("patient", "department")
    return _allowed(identity, get_object_or_404(studies, pk=pk), may)


def _allowed(identity: Identity, found: Any, may: permissions.Predicate) -> Any:
    if not may(identity, found):
        raise PermissionDenied
    return found


# --- uploading ------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    return _home(request)


def _home(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    # A guest gets their cookie here, so that several uploads at once belong to one guest.
    identity = identities.ensure(_identity(request))
    images = Image.objects.visible_to(identity).filter(study=None).select_related("prediction")
    context = {
        "error": error,
        "recent": images.sent_by(identity, RECENT),
        "studies": Study.objects.visible_to(identity).sent_by(identity, 5),
        "departments": permissions.departments_to_upload_to(identity),
        "max_mb": settings.MAX_IMAGE_BYTES // 2**20,
    }
    response = render(request, "dashboard/home.html", context, status=status)
    identities.remember(response, identity)
    return response


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """The drop zone's form, for browsers without JavaScript."""
    throttle: Any = UploadThrottle()  # made for REST Framework's requests, of which a page's has all that it asks
    if not throttle.allow_request(request, None):
        return _home(request, "Too many uploads in a short time. Please wait a minute.", 429)
    identity = identities.ensure(_identity(request))
    files = request.FILES.getlist("files")
    if not files:
        return _home(request, "Please choose an image first.", 400)
    made: Image | Study
    try:
        department = permissions.department_for(identity, request.POST.get("department"))
        if len(files) == 1 and not signatures.is_zip(files[0]):
            made = uploads.create_image(identity, files[0], filename=str(files[0].name), department=department)
        else:
            made = uploads.create_study(identity, files, department=department)
    except Refused as problem:
        return _home(request, problem.detail, problems.status_of(problem))
    response = redirect(made)
    identities.remember(response, identity)
    return response


# --- an image -------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def image(request: HttpRequest, pk: UUID) -> HttpResponse:
    return render(request, "dashboard/image.html", _image_context(request, _image(request, pk)))


def _image_context(request: HttpRequest, found: Image) -> dict[str, Any]:
    return {
        "image": found,
        "may_cancel": permissions.may_cancel(_identity(request), found),
        "before": Image.objects.sent_before(found).first(),
    }


@require_safe
@never_cache
async def image_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What changes of an image's page, held by ``?wait=`` until it differs from the status ``seen``."""
    found = await sync_to_async(_image)(request, pk)
    seconds = wait_seconds(request)
    if seconds and not found.is_final and found.status == request.GET.get("seen", found.status):
        await wait_for_change("image", pk, found.status, seconds)
        found = await sync_to_async(_image)(request, pk)
    context = await sync_to_async(_image_context)(request, found)
    return await sync_to_async(render)(request, "dashboard/_image.html", {**context, "swapped": True})


@require_POST
def image_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _image(request, pk, permissions.may_cancel)
    cancellation.cancel_image(found)
    return redirect(found)


@require_POST
def image_review(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A reader's verdict, from the form on an image's page."""
    found = _image(request, pk)
    verdict = request.POST.get("verdict", "")
    if verdict not in Verdict.values:
        return HttpResponseBadRequest("No such verdict.", content_type="text/plain")
    try:
        reviews.review(found, cast("User", request.user), verdict)
    except Refused as problem:
        return HttpResponse(problem.detail, status=problems.status_of(problem), content_type="text/plain")
    return redirect(found)


# --- a study --------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def study(request: HttpRequest, pk: UUID) -> HttpResponse:
    return render(request, "dashboard/study.html", _study_context(request, pk))


@require_safe
@never_cache
async def study_progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What changes of a study's page, held by ``?wait=`` while as many images are done as ``seen`` says."""
    context = await sync_to_async(_study_context)(request, pk)
    seconds = wait_seconds(request)
    if seconds and not context["final"] and str(context["progress"].done) == request.GET.get("seen"):
        state = (await sync_to_async(study_states)([pk]))[pk]
        await wait_for_change("study", pk, state, seconds)
        context = await sync_to_async(_study_context)(request, pk)
    return await sync_to_async(render)(request, "dashboard/_study.html", context)


def _study_context(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    found = _study(request, pk)
    progress = of_study(found)
    images = found.images.select_related("prediction").order_by("created_at", "pk")
    return {
        "study": found,
        "progress": progress,
        "may_cancel": permissions.may_cancel(_identity(request), found),
        "final": progress.status in ("finished", "cancelled"),
        "page": Paginator(images, PAGE).get_page(request.GET.get("page")),
    }


@require_POST
def study_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _study(request, pk, permissions.may_cancel)
    cancellation.cancel_study(found)
    return redirect(found)
