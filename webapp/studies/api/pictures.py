"""An image's pictures: its preview, the uploaded file, the model's input, and the heatmap."""

import hashlib
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies.access import visible_image
from webapp.studies.files import heatmaps, responses
from webapp.studies.models import Image

TOKEN = OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")


def _image(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Image:
    return visible_image(identities.identify(request), pk, permission)


class ImageFile(APIView):
    """An image's preview, a JPEG."""

    kind = "preview"

    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        image = _image(request, pk)
        record(identities.identify(request), Action.DOWNLOAD, image, file=self.kind)
        return responses.picture(request, *self.file(image))

    def file(self, image: Image) -> tuple[str | None, str]:
        """The name of the file in the storage, and its hash."""
        return image.preview.name, image.preview_hash


class ImageOriginal(APIView):
    """The file as it was uploaded."""

    @extend_schema(
        responses={(200, "image/*"): OpenApiTypes.BINARY, (200, "application/pdf"): OpenApiTypes.BINARY},
        parameters=[TOKEN],
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        image = _image(request, pk, permissions.may_see_original)
        record(identities.identify(request), Action.DOWNLOAD, image, file="original")
        response = responses.picture(request, image.file.name, image.sha256)
        response.headers["Content-Disposition"] = str(content_disposition_header(True, image.filename))
        return response


class ImageInput(ImageFile):
    """The exact input of the image's primary model."""

    kind = "input"

    def file(self, image: Image) -> tuple[str | None, str]:
        reading = image.reading
        return (reading.input.name, reading.input_sha256) if reading else (None, "")


class ImageHeatmap(APIView):
    """The explanation of a reading, as a PNG that overlays the preview.

    It has one colour, whose alpha is the Grad-CAM, and a line around the strongest part.
    """

    @extend_schema(
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="as the client has it"),
        },
        parameters=[TOKEN],
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        image = _image(request, pk)
        record(identities.identify(request), Action.DOWNLOAD, image, file="heatmap")
        return heatmap(request, image)


def heatmap(request: Any, image: Image) -> HttpResponseBase:
    """Return an image's heatmap as the response to a request of Django or REST Framework.

    Raises:
        Refused: ``no_heatmap``.
    """
    values, region = (bytes(image.result.heatmap), image.result.region) if image.result else (b"", [])
    if not values or not (width := image.width) or not (height := image.height):
        raise Refused("no_heatmap", "There is no map: the image has not been read, or was read without one.")
    return responses.cached(
        request,
        hashlib.sha256(values + repr((region, heatmaps.DRAWING)).encode()).hexdigest(),
        lambda: HttpResponse(heatmaps.png(values, width, height, region), content_type="image/png"),
    )
