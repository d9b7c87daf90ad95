"""The API of reviews."""

from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.departments.api import IsAdministrator
from webapp.reviews import export, services
from webapp.reviews.api.serializers import ReviewSerializer
from webapp.reviews.models import Review
from webapp.studies.access import visible_image
from webapp.studies.models import Image

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def _image(request: Request, pk: UUID) -> Image:
    return visible_image(identities.identify(request), pk)


class Reviews(APIView):
    """What readers say of an image."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses={200: ReviewSerializer(many=True)}, operation_id="image_reviews")
    def get(self, request: Request, pk: UUID) -> Response:
        reviews = Review.objects.filter(image=_image(request, pk)).select_related("reviewer").order_by("created_at")
        return Response(ReviewSerializer(reviews, many=True).data)

    @extend_schema(request=ReviewSerializer, responses={200: ReviewSerializer})
    def put(self, request: Request, pk: UUID) -> Response:
        """Give your verdict, or change it."""
        image = _image(request, pk)
        given = ReviewSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        kept = services.review(image, cast("User", request.user), **given.validated_data)
        return Response(ReviewSerializer(kept).data)


class Export(APIView):
    """All reviewed images with their verdicts, for training."""

    permission_classes = (IsAdministrator,)

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request) -> StreamingHttpResponse:
        response = StreamingHttpResponse(export.stream(), content_type="application/zip")
        response.headers["Content-Disposition"] = 'attachment; filename="reviews.zip"'
        return response
