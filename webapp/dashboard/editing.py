"""Pages that change images and studies, and views that have failed ones read again."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.exceptions import ValidationError

from webapp.accounts import identity as identities
from webapp.departments import permissions
from webapp.http import problems
from webapp.http.sentences import in_words
from webapp.http.serializers import StrictSerializer
from webapp.refusals import Refused
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api.serializers import ImageChangesSerializer, StudyChangesSerializer
from webapp.studies.choices import Priority
from webapp.studies.models import Image, Study
from webapp.studies.services import changing, retrying


def _image(request: HttpRequest, pk: UUID) -> Image:
    return visible_image(identities.identify(request), pk, permissions.may_change)


def _study(request: HttpRequest, pk: UUID) -> Study:
    return visible_study(identities.identify(request), pk, permissions.may_change)


@require_POST
def image_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    image = _image(request, pk)
    retrying.retry_image(identities.identify(request), image)
    return redirect(image)


@require_POST
def study_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    study = _study(request, pk)
    retrying.retry_study(identities.identify(request), study)
    return redirect(study)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def image_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change an image's patient and, while it waits, its priority."""
    image = _image(request, pk)
    return _edit(request, image, ImageChangesSerializer)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def study_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Change a study's name and patient."""
    return _edit(request, _study(request, pk), StudyChangesSerializer)


def _edit(request: HttpRequest, row: Image | Study, serializer: type[StrictSerializer]) -> HttpResponse:
    context: dict[str, object] = {"row": row, "is_study": isinstance(row, Study), "priorities": Priority.choices}
    shown = {"patient": row.patient.identifier if row.patient else ""}
    shown |= {name: getattr(row, name) for name in ("name", "priority", "stat") if hasattr(row, name)}
    if request.method == "POST":
        names: list[str] = list(serializer().get_fields())
        sent = {name: request.POST[name] for name in names if name in request.POST}
        if isinstance(row, Image) and sent.get("priority") == row.priority:
            del sent["priority"]
        if sent.get("stat") == str(row.stat).lower():
            del sent["stat"]
        try:
            changes = serializer(data=sent)
            changes.is_valid(raise_exception=True)
            if isinstance(row, Study):
                changing.change_study(identities.identify(request), row, **changes.validated_data)
            else:
                changing.change_image(identities.identify(request), row, **changes.validated_data)
            return redirect(row)
        except ValidationError as error:
            context["error"] = problems.sentence(error.detail)
        except Refused as refused:
            context["error"] = in_words(refused.code, refused.detail)
        shown |= sent  # keep what the user typed
    return render(
        request, "dashboard/edit.html", {**context, "shown": shown}, status=400 if "error" in context else 200
    )
