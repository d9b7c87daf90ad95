"""The REST API. Views translate between HTTP and the services, and do nothing else."""

from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, extend_schema, extend_schema_view
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.http.long_polling import hold, may_wait
from webapp.studies.access import has_ended, visible_image, visible_study
from webapp.studies.api import serializers
from webapp.studies.api.filters import ImageFilters, StudyFilters, StudyImageFilters
from webapp.studies.api.lists import FilteredList
from webapp.studies.api.once import KEY, once
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.models import Image, Study
from webapp.studies.services import changing, deletion, uploads
from webapp.studies.states import study_states
from webapp.studies.waiting import until_final

WAIT = OpenApiParameter(
    "wait", {"type": "number", "minimum": 0}, description=f"hold the response for up to this many seconds (at most "
    f"{settings.MAX_WAIT_SECONDS}) until the job has ended"
)  # fmt: skip
#: The content types of the file in an upload form.
IMAGE = {"file": {"contentType": "image/jpeg, image/png"}}
TOKEN = OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")


def _image(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Image:
    return visible_image(identities.identify(request), pk, permission)


def _study(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Study:
    return visible_study(identities.identify(request), pk, permission)


def _accepted(data: dict[str, Any], identity: Identity) -> Response:
    """Return a 202 response with the job's URL and, for a guest, the token that gives access to it."""
    if identity.guest:
        data = {**data, "token": identities.make_token(identity.guest)}
    response = Response(data, status=202, headers={"Location": data["url"]})
    identities.remember(response, identity)
    return response


@extend_schema_view(get=extend_schema(parameters=[ImageFilters, TOKEN]))
class Images(FilteredList):
    """Your images, newest first."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser, FormParser)
    serializer_class = serializers.ImageSerializer
    filters = ImageFilters
    queryset = Image.objects.select_related("patient", "department").prefetch_related("readings")

    @extend_schema(
        request={"multipart/form-data": OpenApiRequest(serializers.UploadSerializer, encoding=IMAGE)},
        responses={202: serializers.AcceptedImageSerializer},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request) -> Response:
        """Upload an image. It is read later: get its result at the ``url`` in the response."""
        identity = identities.ensure(identities.identify(request))
        upload = serializers.UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        values = upload.validated_data
        make = partial(
            uploads.create_image,
            identity,
            values["file"],
            filename=values["file"].name,
            patient=values["patient"],
            age=values["age"],
            view=values["view"] or "",
            comment=values["comment"] or "",
            priority=values["priority"],
            stat=bool(values["stat"]),
            department=department_for(identity, values.get("department")),
        )
        image = once(request, identity, values, make)
        return _accepted(serializers.AcceptedImageSerializer(image, context={"request": request}).data, identity)


class ImageDetail(APIView):
    """One image: its status and, once there is one, its result."""

    @extend_schema(responses={200: serializers.ImageSerializer}, parameters=[WAIT, TOKEN])
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        identity = identities.identify(request)
        if may_wait(request) and not has_ended(identity, pk):
            held = hold(request, partial(until_final, Image, pk))
            if held:
                return held
        image = visible_image(identity, pk)
        record(identity, Action.VIEW, image)
        return Response(serializers.ImageSerializer(image, context={"request": request}).data)

    @extend_schema(
        request=serializers.ImageChangesSerializer, responses={200: serializers.ImageSerializer}, parameters=[TOKEN]
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Change an image's patient or urgency or, as long as it waits, its priority."""
        image = _image(request, pk, permissions.may_change)
        changes = serializers.ImageChangesSerializer(data=request.data)
        changes.is_valid(raise_exception=True)
        changing.change_image(identities.identify(request), image, **changes.validated_data)
        return Response(serializers.ImageSerializer(_image(request, pk), context={"request": request}).data)

    @extend_schema(responses={204: None}, parameters=[TOKEN])
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete an image with its result, its reviews and its files."""
        deletion.delete_image(_image(request, pk, permissions.may_delete), identities.identify(request))
        return Response(status=204)


@extend_schema_view(get=extend_schema(parameters=[StudyFilters, TOKEN]))
class Studies(FilteredList):
    """Your studies, newest first."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser,)
    serializer_class = serializers.StudySerializer
    filters = StudyFilters
    queryset = Study.objects.select_related("patient", "department")

    @extend_schema(
        request={"multipart/form-data": serializers.StudyUploadSerializer},
        responses={202: serializers.AcceptedStudySerializer},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request) -> Response:
        """Upload many files, including ZIPs, as a study. A file that is not an image is listed with the reason.

        With ``more_to_come`` no file is required yet, and the study does not finish before it is closed.
        """
        identity = identities.ensure(identities.identify(request))
        upload = serializers.StudyUploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        values = upload.validated_data
        department = department_for(identity, values.get("department"))
        make = partial(
            uploads.create_study,
            identity,
            values.get("files", []),
            name=values["name"],
            patient=values["patient"],
            age=values["age"],
            view=values["view"] or "",
            stat=bool(values["stat"]),
            more_to_come=bool(values["more_to_come"]),
            department=department,
        )
        study = once(request, identity, values, make)
        return _accepted(serializers.AcceptedStudySerializer(study, context={"request": request}).data, identity)


class StudyDetail(APIView):
    """A study's progress."""

    @extend_schema(responses={200: serializers.StudySerializer}, parameters=[WAIT, TOKEN])
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        identity = identities.identify(request)
        study = visible_study(identity, pk)
        if may_wait(request) and not study_states([pk])[pk].is_final:
            held = hold(request, partial(until_final, Study, pk))
            if held:
                return held
        record(identity, Action.VIEW, study)
        return Response(serializers.StudySerializer(study, context={"request": request}).data)

    @extend_schema(
        request=serializers.StudyChangesSerializer, responses={200: serializers.StudySerializer}, parameters=[TOKEN]
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Change a study's name, patient or urgency."""
        study = _study(request, pk, permissions.may_change)
        changes = serializers.StudyChangesSerializer(data=request.data)
        changes.is_valid(raise_exception=True)
        changing.change_study(identities.identify(request), study, **changes.validated_data)
        return Response(serializers.StudySerializer(_study(request, pk), context={"request": request}).data)

    @extend_schema(responses={204: None}, parameters=[TOKEN])
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a study with all its images, their results, reviews and files."""
        deletion.delete_study(_study(request, pk, permissions.may_delete), identities.identify(request))
        return Response(status=204)


@extend_schema_view(get=extend_schema(parameters=[StudyImageFilters, TOKEN]))
class StudyImages(FilteredList):
    """A study's images in order of upload."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser,)
    serializer_class = serializers.ImageSerializer
    filters = StudyImageFilters
    ordering = "created_at"
    one_owner = True
    queryset = Image.objects.none()
    study: Study

    def get_queryset(self) -> Any:
        self.study = _study(self.request, self.kwargs["pk"])
        return self.study.images.select_related("patient", "department").prefetch_related("readings")

    def listed(self) -> Any:
        return self.study

    @extend_schema(
        request={"multipart/form-data": serializers.MoreFilesSerializer},
        responses={202: serializers.AcceptedStudySerializer},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Upload more images to a study."""
        study = _study(request, pk, permissions.may_add_to)
        upload = serializers.MoreFilesSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        identity = identities.identify(request)
        values = upload.validated_data
        make = partial(
            uploads.add_to_study, identity, study, values["files"], age=values["age"], view=values["view"] or ""
        )
        study = once(request, identity, values, make)
        return _accepted(serializers.AcceptedStudySerializer(study, context={"request": request}).data, identity)
