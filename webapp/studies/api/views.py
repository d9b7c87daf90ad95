"""The REST API. Views translate between HTTP and the services, and do nothing else."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.api import serializers
from webapp.studies.api.polling import Pending, long_poll
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.files import heatmaps, responses, results_csv
from webapp.studies.models import Image, Study
from webapp.studies.services import cancellation, idempotency, uploads

WAIT = OpenApiParameter(
    "wait", OpenApiTypes.NUMBER, description=f"hold the answer up to so many seconds (at most "
    f"{settings.MAX_WAIT_SECONDS}) until the job comes to an end"
)  # fmt: skip
TOKEN = OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")
KEY = OpenApiParameter(
    idempotency.HEADER, str, OpenApiParameter.HEADER, description="your own name for this request: sent again with the "
    "same name within 24 hours, it is answered with the same job"
)  # fmt: skip
PROBLEM = OpenApiResponse(OpenApiTypes.OBJECT, description="application/problem+json")


def _image(request: Request, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Image:
    identity = identities.identify(request)
    images = Image.objects.visible_to(identity).select_related("prediction", "patient", "department")
    return _allowed(identity, get_object_or_404(images, pk=pk), may)


def _study(request: Request, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Study:
    identity = identities.identify(request)
    studies = Study.objects.visible_to(identity).select_related("patient", "department")
    return _allowed(identity, get_object_or_404(studies, pk=pk), may)


def _allowed(identity: Identity, found: Any, may: permissions.Predicate) -> Any:
    if not may(identity, found):
        raise Refused("not_allowed", "You may see this, but your role in its department does not allow more.")
    return found


def _check_length(request: Request, limit: int) -> None:
    """Refuse what is too large before it is read."""
    try:
        length = int(request.headers.get("content-length") or 0)
    except ValueError:
        length = 0
    if length > limit + 2**20:
        raise Refused("file_too_large", f"At most {limit // 2**20} MB can be sent here.")


def _accepted(data: dict[str, Any], identity: Identity) -> Response:
    """202 with the job's URL and, for a guest, what gives access to it."""
    if identity.guest:
        data = {**data, "token": identities.make_token(identity.guest)}
    response = Response(data, status=202, headers={"Location": data["url"]})
    identities.remember(response, identity)
    return response


def _once(request: Request, identity: Identity, given: dict[str, Any], make: Callable[..., Any]) -> Any:
    """The job that a request makes, or has made before with the same Idempotency-Key."""
    fields = {name: value for name, value in given.items() if name not in ("file", "files")}
    files = given.get("files") or [given["file"]]
    key = idempotency.key_of(identity, request.headers.get(idempotency.HEADER, ""), request.path, fields, files)
    return idempotency.once(key, partial(make, key=key))


class Images(ListAPIView):
    """Your images, newest first; upload one more."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser, FormParser)
    serializer_class = serializers.ImageSerializer
    queryset = Image.objects.none()

    def get_queryset(self) -> Any:
        own = Image.objects.visible_to(identities.identify(self.request))
        return own.select_related("prediction", "patient", "department").order_by("-created_at")

    @extend_schema(
        request={"multipart/form-data": serializers.UploadSerializer},
        responses={202: serializers.AcceptedImageSerializer, "4XX": PROBLEM},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request) -> Response:
        identity = identities.ensure(identities.identify(request))
        _check_length(request, settings.MAX_IMAGE_BYTES)
        upload = serializers.UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        given = upload.validated_data
        make = partial(
            uploads.create_image,
            identity,
            given["file"],
            filename=given["file"].name,
            patient=given["patient"],
            priority=given["priority"],
            department=permissions.department_for(identity, given.get("department")),
        )
        image = _once(request, identity, given, make)
        return _accepted(serializers.AcceptedImageSerializer(image, context={"request": request}).data, identity)


@long_poll("image")
class ImageDetail(APIView):
    """One image: its status and, once it is there, its result."""

    @extend_schema(responses={200: serializers.ImageSerializer, 404: PROBLEM}, parameters=[WAIT, TOKEN])
    def get(self, request: Request, pk: UUID, brief: bool = False) -> Response:
        image = _image(request, pk)
        if brief and not image.is_final:
            # The client will wait; the answer is made when that is over.
            return Pending(image)
        return Response(serializers.ImageSerializer(image, context={"request": request}).data)


class ImageCancel(APIView):
    """Cancel an image that has no result yet."""

    @extend_schema(request=None, responses={200: serializers.ImageSerializer, 404: PROBLEM, 409: PROBLEM})
    def post(self, request: Request, pk: UUID) -> Response:
        image = _image(request, pk, permissions.may_cancel)
        if not cancellation.cancel_image(image):
            raise Refused("already_finished", "This image has already come to an end.")
        return Response(serializers.ImageSerializer(_image(request, pk), context={"request": request}).data)


class ImageFile(APIView):
    """A file made from an image: its preview, or the model's exact input."""

    kind = "preview"

    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY, 404: PROBLEM}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        return responses.response(getattr(_image(request, pk), self.kind).name)


class ImageHeatmap(APIView):
    """What an image's reading rests on, as a PNG to lay over its preview: one colour whose alpha is the Grad-CAM."""

    @extend_schema(
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="as the client has it"),
            404: PROBLEM,
        },
        parameters=[TOKEN],
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        image = _image(request, pk)
        values = bytes(image.prediction.heatmap) if hasattr(image, "prediction") else b""
        if not values or not image.width or not image.height:
            raise Refused("no_heatmap", "There is no map: the image has not been read, or was read without one.")
        etag = quote_etag(hashlib.sha256(values).hexdigest()[:32])
        response = get_conditional_response(request, etag=etag) or HttpResponse(
            heatmaps.png(values, image.width, image.height), content_type="image/png"
        )
        response.headers["ETag"] = etag
        response.headers["Cache-Control"] = "private, max-age=86400, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


class Studies(APIView):
    """Upload many files, ZIPs among them, as one study."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser,)

    @extend_schema(
        request={"multipart/form-data": serializers.StudyUploadSerializer},
        responses={202: serializers.AcceptedStudySerializer, "4XX": PROBLEM},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request) -> Response:
        identity = identities.ensure(identities.identify(request))
        _check_length(request, settings.MAX_STUDY_BYTES)
        upload = serializers.StudyUploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        given = upload.validated_data
        department = permissions.department_for(identity, given.get("department"))
        make = partial(
            uploads.create_study,
            identity,
            given["files"],
            name=given["name"],
            patient=given["patient"],
            department=department,
        )
        study = _once(request, identity, given, make)
        return _accepted(serializers.StudySerializer(study, context={"request": request}).data, identity)


@long_poll("study")
class StudyDetail(APIView):
    """A study's progress."""

    @extend_schema(responses={200: serializers.StudySerializer, 404: PROBLEM}, parameters=[WAIT, TOKEN])
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(serializers.StudySerializer(_study(request, pk), context={"request": request}).data)


class StudyImages(ListAPIView):
    """A study's images, in the order of their upload; upload more of them."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (MultiPartParser,)
    serializer_class = serializers.ImageSerializer
    queryset = Image.objects.none()

    def get_queryset(self) -> Any:
        study = _study(self.request, self.kwargs["pk"])
        return study.images.select_related("prediction", "patient", "department").order_by("created_at", "pk")

    @extend_schema(
        request={"multipart/form-data": serializers.MoreFilesSerializer},
        responses={202: serializers.AcceptedStudySerializer, "4XX": PROBLEM},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        study = _study(request, pk, permissions.may_add_to)
        _check_length(request, settings.MAX_STUDY_BYTES)
        upload = serializers.MoreFilesSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        identity = identities.identify(request)
        make = partial(uploads.add_to_study, identity, study, upload.validated_data["files"])
        study = _once(request, identity, upload.validated_data, make)
        return _accepted(serializers.StudySerializer(study, context={"request": request}).data, identity)


class StudyResults(APIView):
    """A study's results as CSV, a row an image."""

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR, 404: PROBLEM}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        study = _study(request, pk)
        response = StreamingHttpResponse(
            results_csv.csv_rows(study, request.build_absolute_uri), content_type="text/csv"
        )
        response.headers["Content-Disposition"] = f'attachment; filename="study-{study.pk}.csv"'
        return response


class StudyCancel(APIView):
    """Cancel all of a study's images that have no result yet."""

    @extend_schema(request=None, responses={200: serializers.StudySerializer, 404: PROBLEM})
    def post(self, request: Request, pk: UUID) -> Response:
        cancellation.cancel_study(_study(request, pk, permissions.may_cancel))
        return Response(serializers.StudySerializer(_study(request, pk), context={"request": request}).data)


@long_poll("prediction")
class Predict(APIView):
    """The interface of the first PneumoQueue report: an image in, its two probabilities out, in one request."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (JSONParser,)

    @extend_schema(
        request=serializers.PredictSerializer,
        responses={200: serializers.PredictionAnswerSerializer, "4XX": PROBLEM, 503: PROBLEM},
        parameters=[KEY],
    )
    def post(self, request: Request) -> Response:
        identity = identities.ensure(identities.identify(request))
        # Base64 takes four bytes for three.
        _check_length(request, settings.MAX_IMAGE_BYTES * 4 // 3)
        asked = serializers.PredictSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        content = ContentFile(_decode(asked.validated_data["image"]), name="predict")
        department = permissions.department_for(identity, asked.validated_data.get("department"))
        make = partial(uploads.create_image, identity, content, filename="predict", department=department)
        image = _once(request, identity, {"file": content}, make)
        return Pending(image, serializers.ImageSerializer(image, context={"request": request}).data, status=202)


def _decode(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_base64", "The field 'image' is not valid base64.") from None
