"""The API for searches of a department's PACS, for users who may search it."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.departments.models import Department
from webapp.dicom import access
from webapp.dicom.models import Destination, Retrieval, Search
from webapp.dicom.services import searching
from webapp.http.serializers import StrictSerializer
from webapp.studies.api.throttles import UploadThrottle


class PacsSerializer(serializers.ModelSerializer):
    class Meta:
        model = Destination
        fields = ("id", "name")


class CriteriaSerializer(StrictSerializer):
    """The criteria of a search. At least a patient, a day or an accession number has to be given."""

    pacs = serializers.UUIDField(required=False, help_text="may be left out if the department has only one")
    patient_id = serializers.CharField(required=False, max_length=64, validators=[searching.no_wildcards])
    patient_name = serializers.CharField(
        required=False, max_length=64, validators=[searching.no_wildcards], help_text="or its beginning: Family, Given"
    )
    birth_date = serializers.DateField(required=False)
    date_from = serializers.DateField(required=False, help_text="first date of the study")
    date_until = serializers.DateField(required=False)
    modality = serializers.ChoiceField(searching.MODALITIES, required=False, help_text="both if it is left out")
    accession_number = serializers.CharField(required=False, max_length=16, validators=[searching.no_wildcards])


class RetrievalSerializer(serializers.ModelSerializer):
    refused = serializers.ListField(
        child=serializers.CharField(), help_text="SOP Instance UIDs of the images that did not arrive"
    )

    class Meta:
        model = Retrieval
        fields = ("id", "study_uid", "state", "error", "expected", "arrived", "refused", "created_at", "finished_at")


class FoundStudySerializer(serializers.Serializer):
    """A study as the PACS describes it; texts are empty if the PACS gives none."""

    study_uid = serializers.CharField()
    patient_id = serializers.CharField()
    patient_name = serializers.CharField()
    birth_date = serializers.CharField()
    date = serializers.CharField()
    modalities = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField()
    accession_number = serializers.CharField()
    images = serializers.CharField(help_text="how many images of any kind it has")
    here = serializers.BooleanField(help_text="whether the department has images of it")


class SearchSerializer(serializers.ModelSerializer):
    pacs = serializers.UUIDField(source="destination_id")
    studies = serializers.SerializerMethodField(help_text="what was found")
    retrievals = RetrievalSerializer(many=True)

    class Meta:
        model = Search
        fields = ("id", "pacs", "state", "error", "more", "studies", "retrievals", "created_at", "finished_at")

    @extend_schema_field(FoundStudySerializer(many=True))
    def get_studies(self, search: Search) -> list[dict[str, Any]]:
        present_uids = searching.present_studies(search)
        return [{**study, "here": study["study_uid"] in present_uids} for study in search.found]


class ChosenSerializer(StrictSerializer):
    """Studies that a search has found."""

    studies = serializers.ListField(
        child=serializers.CharField(max_length=64),
        min_length=1,
        max_length=searching.MOST_FOUND,
        help_text="their Study Instance UIDs",
    )


class PacsList(ListAPIView):
    """The PACS of a department that you may search."""

    permission_classes = (IsAuthenticated,)
    serializer_class = PacsSerializer
    queryset = Destination.objects.none()
    ordering = "created_at"

    def get_queryset(self) -> Any:
        return access.searchable(_department(self.request, self.kwargs["slug"]))


class Searches(APIView):
    """Searches of a department's PACS."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(request=CriteriaSerializer, responses={202: SearchSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Search a PACS. Request the search until its `state` is not `waiting`; it is deleted after a day."""
        department = _department(request, slug)
        serializer = CriteriaSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        criteria = dict(serializer.validated_data)
        pacs = access.searchable_one(department, criteria.pop("pacs", None))
        return Response(SearchSerializer(searching.search(identify(request), pacs, criteria)).data, status=202)


class SearchDetail(APIView):
    """A search and its retrievals."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=SearchSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """A search with the studies that it has found and the progress of its retrievals."""
        identity = identify(request)
        found = access.search(identity, pk)
        record(identity, Action.VIEW, found)
        return Response(SearchSerializer(found).data)


class Retrievals(APIView):
    """Retrievals of studies that a search has found."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(request=ChosenSerializer, responses={202: RetrievalSerializer(many=True)})
    def post(self, request: Request, pk: UUID) -> Response:
        """Fetch studies that a search has found. The images that arrive become studies of the department."""
        identity = identify(request)
        found = access.search(identity, pk)
        serializer = ChosenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        begun = searching.retrieve(identity, found, serializer.validated_data["studies"])
        return Response(RetrievalSerializer(begun, many=True).data, status=202)


class RetrievalCancel(APIView):
    """Cancel a retrieval."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="cancelled, or ended before")})
    def post(self, request: Request, pk: UUID) -> Response:
        """Fetch no more images of a study. Images that have arrived stay."""
        identity = identify(request)
        searching.cancel(identity, access.retrieval(identity, pk))
        return Response(status=204)


def _department(request: Request, slug: str) -> Department:
    return visible_department(identify(request), slug, permissions.may_search_pacs)
