"""The interface of the first PneumoQueue report: one request with an image, answered with its two probabilities."""

import base64
import binascii
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.signing import BadSignature, TimestampSigner
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.departments.access import department_for
from webapp.http import problems
from webapp.http.long_polling import hold
from webapp.http.parsers import JSONParser
from webapp.refusals import Refused
from webapp.studies.access import visible_image
from webapp.studies.api import serializers
from webapp.studies.api.once import KEY, once
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.models import Image
from webapp.studies.services import uploads
from webapp.studies.waiting import until_final

TOKEN = OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")
#: Signs what the request that continues after waiting has to know; clients never see it.
_signer = TimestampSigner(salt="pneumoqueue.predict")


class Predict(APIView):
    """Send an image, and get its two probabilities in the response."""

    throttle_classes = (UploadThrottle,)
    parser_classes = (JSONParser,)

    @extend_schema(
        request=serializers.PredictSerializer,
        responses={200: serializers.PredictionAnswerSerializer},
        parameters=[TOKEN, KEY],
    )
    def post(self, request: Request) -> HttpResponse:
        identity = identities.ensure(identities.identify(request))
        content, values = _content(request)
        department = department_for(identity, values.pop("department", None))
        details = {"age": values["age"], "view": values["view"] or ""}
        make = partial(uploads.create_image, identity, content, filename="predict", department=department, **details)
        image = once(request, identity, {"file": content, **values}, make)
        held = hold(
            request,
            partial(until_final, Image, image.pk),
            seconds=settings.PREDICT_TIMEOUT_SECONDS,
            then=reverse("predict-answer", args=[sign(image, identity.guest)]),
        )
        return held or _response(request, image)


class PredictAnswer(APIView):
    """The response of :class:`Predict` after the request has waited, if the client may still see the image."""

    throttle_classes = ()  # it is the same request

    @extend_schema(exclude=True)
    def get(self, request: Request, signed: str) -> HttpResponse:
        try:
            pk, guest = _signer.unsign_object(signed, max_age=settings.PREDICT_TIMEOUT_SECONDS + 60)
        except BadSignature:
            raise Http404 from None
        identity = identities.identify(request)
        if guest and not identity.user:
            identity = replace(identity, guest=None if identities.is_revoked(UUID(guest)) else UUID(guest))
        return _response(request, visible_image(identity, UUID(pk)))


def sign(image: Image, guest: UUID | None) -> str:
    """Return the signed ids of an image and of its guest: a new guest's request has no token.

    It is part of an address, which a log may contain. So it has no token.
    """
    return _signer.sign_object([str(image.pk), guest.hex if guest else ""])


def _content(request: Request) -> tuple[ContentFile, dict[str, Any]]:
    """Return the image in a request, and the request's other fields.

    The request's own copies of the image are dropped, because the request may be kept for a while.
    """
    upload = serializers.PredictSerializer(data=request.data)
    upload.is_valid(raise_exception=True)
    text = upload.validated_data.pop("image")
    request.data.clear()
    content = _decode(text)
    if len(content) > settings.MAX_PREDICT_BYTES:
        limit = settings.MAX_PREDICT_BYTES / 2**20
        raise Refused("file_too_large", f"An image may have at most {limit:.0f} MB here.")
    return ContentFile(content, name="predict"), upload.validated_data


def _decode(text: str) -> bytes:
    """Decode an image from base64 with either alphabet, with or without padding and line breaks, or from a data URL."""
    coded = "".join(text.split()).encode()
    if coded[:5].lower() == b"data:":
        kind, _, escaped = coded.partition(b",")
        coded = unquote_to_bytes(escaped)
        if not kind.lower().endswith(b";base64"):
            return coded
    coded = coded.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(coded + b"=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_base64", "The field 'image' is not valid base64.") from None


def _response(request: Request, image: Image) -> HttpResponse:
    common: dict[str, Any] = {
        "id": str(image.pk),
        "url": request.build_absolute_uri(reverse("api-image", args=[image.pk])),
    }
    if image.guest:
        common["token"] = identities.make_token(image.guest)
    if result := image.result:
        prediction = [[result.probabilities.get("NORMAL"), result.probability]]
        fields = serializers.result_fields(result)
        return JsonResponse({"prediction": prediction, **fields, "model": result.bundle, **common})
    if image.error_code:
        document = problems.body(422, image.error_code, image.error_detail, **common)
    else:
        detail = "The image is still waiting to be read. Ask for it at its URL, or try again later."
        document = problems.body(503, "not_read_in_time", detail, **common)
    return JsonResponse(document, status=document["status"], content_type=problems.CONTENT_TYPE)
