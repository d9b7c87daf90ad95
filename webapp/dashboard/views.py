"""Pages for uploads, images and studies. They use the same querysets and services as the API.

Browsers must not cache pages: their content must be gone after signing out, and going back must show the current state.
"""

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dashboard import attributes, priors
from webapp.dashboard.forms import VerdictForm
from webapp.dashboard.identity import viewer
from webapp.dashboard.upload_words import RESULT_WORDS, WORDS
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.http import problems
from webapp.http.caches import forget_pictures
from webapp.http.long_polling import hold
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.reviews import services as reviews
from webapp.reviews.models import Opening
from webapp.storage.folder import StorageUnavailable
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.files import manifests, signatures
from webapp.studies.models import Image, Patient, Study
from webapp.studies.particulars import OLDEST
from webapp.studies.progress import current_place
from webapp.studies.services import cancellation, deletion, pauses, uploads
from webapp.studies.waiting import ImageState, until_changed

#: Validates the upload form's field for an age.
AGE = forms.FloatField(required=False, min_value=0, max_value=OLDEST)
RECENT = 12
PAGE = 50


def _image(request: HttpRequest, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Image:
    return visible_image(viewer(request), pk, permission)


# --- uploading ------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def home(request: HttpRequest) -> HttpResponse:
    return _home(request)


def _home(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    # The guest's cookie is set here, so that concurrent uploads belong to one guest.
    identity = identities.ensure(viewer(request))
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
        "result_words": RESULT_WORDS,
        "upload_words": WORDS,
    }
    if context["recent"] or context["studies"]:
        record(identity, Action.LIST, Image)
    response = render(request, "dashboard/home.html", context, status=status)
    identities.remember(response, identity)
    return response


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Receive the upload form of browsers without JavaScript."""
    throttle: Any = UploadThrottle()  # written for REST Framework's requests, but Django's has all that it uses
    if not throttle.allow_request(request, None):
        return _home(request, _("Too many uploads in a short time. Please wait a minute."), 429)
    files, manifest = request.FILES.getlist("files"), request.FILES.getlist("manifest")
    sent = sum(len(values) for name, values in request.FILES.lists())
    if request.POST.getlist("files") or sent > len(files) + len(manifest) or len(manifest) > 1:
        text = _("Files are only taken in the fields 'files' and 'manifest', so nothing was uploaded.")
        return _home(request, text, 400)
    if not files:
        return _home(request, _("Please choose an image first."), 400)
    identities.require_page_user(request, request.POST.get(identities.PAGE_USER_FIELD))
    identity = identities.ensure(identities.identify(request))
    created: Image | Study
    try:
        age = AGE.clean(request.POST.get("age"))
        if pk := request.POST.get("study"):
            study = visible_study(identity, _uuid(pk), permissions.may_add_to)
            return redirect(uploads.add_to_study(identity, study, files, age=age))
        department = department_for(identity, request.POST.get("department"))
        common: dict[str, Any] = {"age": age, "department": department, "patient": request.POST.get("patient", "")}
        name = request.POST.get("name", "")
        if len(files) == 1 and not signatures.is_zip(files[0]) and not name and not manifest:
            created = uploads.create_image(identity, files[0], filename=str(files[0].name), **common)
        else:
            for file in manifest:
                file.name = manifests.NAME  # whatever its name was
            created = uploads.create_study(identity, [*files, *manifest], name=name, **common)
    except ValidationError:
        return _home(
            request,
            _("The age is a number of years from 0 to %(oldest)s. Nothing was uploaded.") % {"oldest": OLDEST},
            400,
        )
    except (Refused, StorageUnavailable) as error:
        problem = problems.problem_of(error)
        return _home(request, in_words(problem.code, str(problem.detail)), problem.status_code)
    response = redirect(created)
    identities.remember(response, identity)
    return response


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None


# --- an image -------------------------------------------------------------------------------------------------------


@require_safe
@never_cache
def image(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _image(request, pk)
    record(viewer(request), Action.VIEW, found)
    return render(request, "dashboard/image.html", image_context(request, found))


def image_context(request: HttpRequest, found: Image) -> dict[str, Any]:
    identity = viewer(request)
    sees_original = permissions.may_see_original(identity, found)
    return {
        "image": found,
        "waiting": None if found.is_final else current_place(found),
        "pause": None if found.is_final else pauses.awaited_by(found.priority, found.department_id),
        "may_cancel": permissions.may_cancel(identity, found),
        "may_change": permissions.may_change(identity, found),
        "may_delete": permissions.may_delete(identity, found),
        "may_follow": permissions.may_follow(identity, found),
        "may_see_original": sees_original,
        # The attributes may identify the patient, as the file may.
        "attributes": attributes.of_file(found) if sees_original else [],
        # A person with whom only this image is shared does not see the study.
        "sees_study": permissions.may_see(identity, found)
        or Study.objects.shared_with(identity).filter(pk=found.study_id).exists(),
        "priors": priors.visible_to(identity, found),
        "sent_before": Image.objects.sent_before(found).only("status", "created_at").first()
        if permissions.may_see(identity, found)
        else None,
    }


@require_safe
@never_cache
def image_card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The changing part of an image's page. ``?wait=`` delays the response until the status differs from ``seen``."""
    found = _image(request, pk)
    held = None
    if not found.is_final and found.status == request.GET.get("seen", found.status):
        held = hold(request, partial(until_changed, Image, pk, ImageState(found.status)))
    return held or render(request, "dashboard/_image.html", {**image_context(request, found), "swapped": True})


@require_POST
def image_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = _image(request, pk, permissions.may_cancel)
    cancellation.cancel_image(found, viewer(request))
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def image_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for confirmation, and delete an image."""
    found = _image(request, pk, permissions.may_delete)
    return delete(request, found, found.study or "home")


@require_POST
def image_review(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Store a reader's verdict from the form on an image's page."""
    found = _image(request, pk)
    form = VerdictForm(request.POST)
    if not form.is_valid():
        return HttpResponseBadRequest("No such verdict.", content_type="text/plain")
    reviews.review(found, viewer(request), **form.review_arguments())
    then = request.POST.get("then", "")
    return redirect(then if then.startswith(reverse("worklist")) else found)


# --- a study --------------------------------------------------------------------------------------------------------


@require_POST
def study_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    identity = viewer(request)
    found = visible_study(identity, pk, permissions.may_cancel)
    cancellation.cancel_study(found, identity)
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def study_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for confirmation, and delete a study."""
    found = visible_study(viewer(request), pk, permissions.may_delete)
    return delete(request, found, "home")


def delete(request: HttpRequest, row: Image | Study | Patient, then: Study | str) -> HttpResponse:
    """Show what is deleted together with a row, and delete it after confirmation."""
    if request.method == "POST":
        deletion.DELETE[type(row)](row, viewer(request))
        return forget_pictures(redirect(then))
    # Records of who has an image open are not content.
    counts = {
        _(str(model._meta.verbose_name_plural)): number
        for model, number in deletion.count([row]).items()
        if model is not Opening
    }
    return render(request, "dashboard/delete.html", {"row": row, "counts": counts})
