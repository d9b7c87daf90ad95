"""API views of reviews."""

from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.api import IsAdministrator
from webapp.http.parsers import JSON_OR_FORM
from webapp.reviews import export, services
from webapp.reviews.access import visible_reviews
from webapp.reviews.api.serializers import ReviewSerializer
from webapp.reviews.models import Review
from webapp.studies.access import OWNER, visible_image
from webapp.studies.models import Image


def _image(request: Request, pk: UUID) -> Image:
    return visible_image(identities.identify(request), pk)


class Reviews(APIView):
    """The readers' verdicts on an image."""

    parser_classes = JSON_OR_FORM
    permission_classes = (IsAuthenticated,)

    @extend_schema(responses={200: ReviewSerializer(many=True)}, operation_id="image_reviews")
    def get(self, request: Request, pk: UUID) -> Response:
        image = _image(request, pk)
        record(identities.identify(request), Action.VIEW, image)
        reviews = visible_reviews(identities.identify(request), image).prefetch_related("earlier")
        return Response(ReviewSerializer(reviews, many=True).data)

    @extend_schema(request=ReviewSerializer, responses={200: ReviewSerializer})
    def put(self, request: Request, pk: UUID) -> Response:
        """Give your verdict, or change it."""
        identity = identities.identify(request)
        rows = Image.objects.select_related("department").only(*OWNER, "department__second_reading")
        image = visible_image(identity, pk, rows=rows)
        serializer = ReviewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        review = services.review(image, identity, **serializer.validated_data)
        return Response(ReviewSerializer(review).data)


class Export(APIView):
    """All reviewed images with their verdicts, for training."""

    permission_classes = (IsAdministrator,)

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request) -> StreamingHttpResponse:
        record(identities.identify(request), Action.EXPORT, Review)
        response = StreamingHttpResponse(export.stream(), content_type="application/zip")
        response.headers["Content-Disposition"] = 'attachment; filename="reviews.zip"'
        return response
