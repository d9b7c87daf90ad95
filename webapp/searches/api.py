"""API views of saved views. Users see their own, and those of their departments."""

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.http.serializers import StrictSerializer
from webapp.searches import services
from webapp.searches.models import List, SavedSearch
from webapp.studies.api.filters import ImageFilters, StudyFilters, WorklistFilters, checked
from webapp.studies.api.throttles import UploadThrottle

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class NewSavedViewSerializer(StrictSerializer):
    list = serializers.ChoiceField(choices=List.choices)
    name = serializers.CharField(max_length=100, help_text="one that there is already is replaced")
    filters = serializers.DictField(help_text="the list's parameters, such as `status`")
    department = serializers.CharField(
        required=False, help_text="the slug of a department that you manage, for all of its members"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        checked(services.FILTERS[List(attrs["list"])], attrs["filters"], paging=())
        return attrs


class NewViewOfImagesSerializer(NewSavedViewSerializer):
    """Named filters of the list of images."""

    list = serializers.ChoiceField(choices=[List.IMAGES.value])
    filters: Any = ImageFilters(help_text="the list's parameters")


class NewViewOfStudiesSerializer(NewSavedViewSerializer):
    """Named filters of the list of studies."""

    list = serializers.ChoiceField(choices=[List.STUDIES.value])
    filters: Any = StudyFilters(help_text="the list's parameters")


class NewViewOfWorklistSerializer(NewSavedViewSerializer):
    """Named filters of the worklist."""

    list = serializers.ChoiceField(choices=[List.WORKLIST.value])
    filters: Any = WorklistFilters(help_text="the list's parameters")


#: The filters depend on the list. Only the OpenAPI document needs a serializer for each list.
NEW_VIEW = PolymorphicProxySerializer(
    component_name="NewSavedView",
    serializers={
        List.IMAGES.value: NewViewOfImagesSerializer,
        List.STUDIES.value: NewViewOfStudiesSerializer,
        List.WORKLIST.value: NewViewOfWorklistSerializer,
    },
    resource_type_field_name="list",
)


class SavedViewSerializer(serializers.ModelSerializer):
    """Named filters of a list."""

    filters = serializers.SerializerMethodField()
    department = serializers.CharField(
        source="department.slug", allow_null=True, default=None, help_text="whose members all have it; null for you"
    )
    list_url = serializers.SerializerMethodField(help_text="the list with these filters, in the API")
    page_url = serializers.SerializerMethodField(help_text="the same as a page")

    class Meta:
        model = SavedSearch
        fields = ("id", "list", "name", "filters", "department", "list_url", "page_url", "created_at")

    def get_filters(self, saved: SavedSearch) -> dict[str, str]:
        return dict(parse_qsl(saved.query))

    def get_list_url(self, saved: SavedSearch) -> str:
        return f"{reverse(f'api-{saved.list}', request=self.context['request'])}?{saved.query}"

    def get_page_url(self, saved: SavedSearch) -> str:
        url: str = self.context["request"].build_absolute_uri(saved.get_absolute_url())
        return url


class SavedViewPages(CursorPagination):
    page_size = 50
    ordering = ("name", "pk")


class SavedViews(ListAPIView):
    """Your saved views and those of your departments, by name."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    pagination_class = SavedViewPages
    serializer_class = SavedViewSerializer
    queryset = SavedSearch.objects.none()

    def get_queryset(self) -> Any:
        return services.visible_to(cast("User", self.request.user))

    @extend_schema(request=NEW_VIEW, responses={201: SavedViewSerializer})
    def post(self, request: Request) -> Response:
        """Save the filters of a list under a name, for yourself or for all members of a department that you manage."""
        serializer = NewSavedViewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        department = None
        if "department" in data:
            department = visible_department(identify(request), data["department"], permissions.may_manage).pk
        user = cast("User", request.user)
        saved = services.save(user, data["list"], data["name"], data["filters"], department)
        return Response(SavedViewSerializer(saved, context={"request": request}).data, status=201)


class SavedViewDetail(APIView):
    """Delete a saved view of yours, or of a department that you manage."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="deleted")})
    def delete(self, request: Request, pk: int) -> Response:
        saved = services.changeable(cast("User", request.user), pk)
        if saved is None:
            raise Http404
        saved.delete()
        return Response(status=204)
