"""API views of shares of images and studies, for those who may share them."""

from typing import Any
from uuid import UUID

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.departments import permissions
from webapp.http.serializers import StrictSerializer
from webapp.sharing import services
from webapp.sharing.models import Share
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.api.views import TOKEN
from webapp.studies.models import Image, Study


class NewShareSerializer(StrictSerializer):
    user = serializers.CharField(required=False, max_length=150, help_text="a colleague's user name")
    days = serializers.IntegerField(
        required=False,
        min_value=services.FEWEST_DAYS,
        max_value=services.MOST_DAYS,
        help_text="for a link: after how many days it ends",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Please give either a user, or the number of days for a link.")
        return attrs


class ShareSerializer(serializers.ModelSerializer):
    """A share of an image or a study, with a user or by a link."""

    user: Any = serializers.CharField(
        source="user.username", allow_null=True, default=None, help_text="null for a link"
    )
    expires_at = serializers.DateTimeField(allow_null=True, help_text="when the link ends")
    created_by: Any = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = Share
        fields: tuple[str, ...] = ("id", "user", "expires_at", "created_by", "created_at")


class MadeShareSerializer(ShareSerializer):
    link = serializers.URLField(allow_null=True, read_only=True, help_text="shown only now; null for a user")

    class Meta(ShareSerializer.Meta):
        fields = (*ShareSerializer.Meta.fields, "link")


def _image(request: Request, pk: UUID) -> Image:
    return visible_image(identify(request), pk, permissions.may_change)


def _study(request: Request, pk: UUID) -> Study:
    return visible_study(identify(request), pk, permissions.may_change)


class ImageShares(ListAPIView):
    """The shares of an image, latest first, without expired links."""

    throttle_classes = (UploadThrottle,)
    serializer_class = ShareSerializer
    queryset = Share.objects.none()
    ordering = "-created_at"
    find: Any = staticmethod(_image)

    def get_queryset(self) -> Any:
        return services.shares_of(self.find(self.request, self.kwargs["pk"]))

    @extend_schema(request=NewShareSerializer, responses={201: MadeShareSerializer}, parameters=[TOKEN])
    def post(self, request: Request, pk: UUID) -> Response:
        """Share an image with a colleague, or by a link that expires. The link is shown only now."""
        identity, row = identify(request), self.find(request, pk)
        serializer = NewShareSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        link = None
        if "user" in serializer.validated_data:
            share = services.share_with(identity, row, serializer.validated_data["user"])
        else:
            share, token = services.share_by_link(identity, row, serializer.validated_data["days"])
            link = request.build_absolute_uri(reverse("shared-link", args=[token]))
        return Response({**ShareSerializer(share).data, "link": link}, status=201)


@extend_schema_view(post=extend_schema(summary="Share a study with a colleague, or by a link that expires"))
class StudyShares(ImageShares):
    """The shares of a study, latest first, without expired links."""

    find = staticmethod(_study)


class ImageShare(APIView):
    """End a share of an image."""

    find: Any = staticmethod(_image)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="ended")}, parameters=[TOKEN])
    def delete(self, request: Request, pk: UUID, share: UUID) -> Response:
        if not services.revoke(identify(request), self.find(request, pk), share):
            raise Http404
        return Response(status=204)


class StudyShare(ImageShare):
    """End a share of a study."""

    find = staticmethod(_study)
