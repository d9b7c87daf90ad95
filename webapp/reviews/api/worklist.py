"""API view of the worklist."""

from typing import Any, cast

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.http.pagination import CursorPages
from webapp.reviews.opening import note_openings
from webapp.reviews.worklist import Worklist
from webapp.studies.api.filters import WorklistFilters, checked, given_once
from webapp.studies.api.serializers import ImageSerializer
from webapp.studies.api.serializers.results import moment
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.models import Image


class OpeningSerializer(serializers.Serializer):
    """A reader who has an image open."""

    reader = serializers.CharField()
    since = serializers.DateTimeField()


class WorklistImageSerializer(ImageSerializer):
    """An image of the worklist."""

    opened_by = OpeningSerializer(many=True, help_text="others who have it open in their worklist")

    class Meta(ImageSerializer.Meta):
        fields = (*ImageSerializer.Meta.fields, "opened_by")

    def to_representation(self, image: Image) -> dict[str, Any]:
        openings = cast("Any", image).opened_by
        opened_by = [{"reader": opening["reader"], "since": moment(opening["opened_at"])} for opening in openings]
        return {**super().to_representation(image), "opened_by": opened_by}


class WorklistPages(CursorPages):
    def get_schema_operation_parameters(self, view: Any) -> Any:
        cursor, page_size = super().get_schema_operation_parameters(view)
        cursor["schema"] |= {"format": "worklist-cursor"}
        return [cursor, page_size]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        cursor = request.query_params.get(self.cursor_query_param)
        self.found = queryset.page(self.get_page_size(request), cursor)
        self.url = request.build_absolute_uri()
        return list(self.found.rows)

    def _link(self, place: Any) -> str | None:
        return replace_query_param(self.url, self.cursor_query_param, place) if place else None


@extend_schema_view(get=extend_schema(parameters=[WorklistFilters]))
class WorklistView(ListAPIView):
    """Images that you may review and have not reviewed: STAT first, then by result group, then the oldest."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    pagination_class = WorklistPages
    serializer_class = WorklistImageSerializer
    queryset = Image.objects.none()

    def filter_queryset(self, queryset: Any) -> Any:
        filters = checked(WorklistFilters, given_once(self.request.query_params))
        return Worklist(identities.identify(self.request), filters)

    def paginate_queryset(self, queryset: Any) -> Any:
        identity = identities.identify(self.request)
        rows: Any = super().paginate_queryset(queryset)
        if identity.user:
            note_openings(rows, identity.user)
        record(identity, Action.LIST, Image)
        return rows
