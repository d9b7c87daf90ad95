"""The API of searches at a department's PACS, for those who may search it."""

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
    """What is searched for. At least a patient, a day or an accession number has to be named."""

    pacs = serializers.UUIDField(required=False, help_text="may be left out where the department has only one")
    patient_id = serializers.CharField(required=False, max_length=64, validators=[searching.no_wildcards])
    patient_name = serializers.CharField(
        required=False, max_length=64, validators=[searching.no_wildcards], help_text="or its beginning: Family, Given"
    )
    birth_date = serializers.DateField(required=False)
    date_from = serializers.DateField(required=False, help_text="of the study")
    date_until = serializers.DateField(required=False)
    modality = serializers.ChoiceField(searching.MODALITIES, required=False, help_text="both without it")
    accession_number = serializers.CharField(required=False, max_length=16, validators=[searching.no_wildcards])


class RetrievalSerializer(serializers.ModelSerializer):
    refused = serializers.ListField(
        child=serializers.CharField(), help_text="SOP Instance UIDs of the images that did not arrive"
    )

    class Meta:
        model = Retrieval
        fields = ("id", "study_uid", "state", "error", "expected", "arrived", "refused", "created_at", "finished_at")


class FoundStudySerializer(serializers.Serializer):
    """A study as the PACS describes it; texts are empty where it says nothing."""

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
        here = searching.here(search)
        return [{**study, "here": study["study_uid"] in here} for study in search.found]


class ChosenSerializer(StrictSerializer):
    """Studies that a search has found."""

    studies = serializers.ListField(
        child=serializers.CharField(max_length=64),
        min_length=1,
        max_length=searching.MOST_FOUND,
        help_text="their Study Instance UIDs",
    )


class PacsList(ListAPIView):
    """The PACS of a department that may be searched."""

    permission_classes = (IsAuthenticated,)
    serializer_class = PacsSerializer
    queryset = Destination.objects.none()
    ordering = "created_at"

    def get_queryset(self) -> Any:
        return access.searched(_department(self.request, self.kwargs["slug"]))


class Searches(APIView):
    """Searches of a department's PACS."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(request=CriteriaSerializer, responses={202: SearchSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Have a PACS searched. Ask for the search until its `state` is not `waiting`; it is deleted after a day."""
        department = _department(request, slug)
        given = CriteriaSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        criteria = dict(given.validated_data)
        pacs = access.searched_one(department, criteria.pop("pacs", None))
        return Response(SearchSerializer(searching.search(identify(request), pacs, criteria)).data, status=202)


class SearchDetail(APIView):
    """A search, and what is fetched of it."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=SearchSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """A search with the studies that it has found and how far those have come that are fetched."""
        by = identify(request)
        found = access.search(by, pk)
        record(by, Action.VIEW, found)
        return Response(SearchSerializer(found).data)


class Retrievals(APIView):
    """What is fetched of a search."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(request=ChosenSerializer, responses={202: RetrievalSerializer(many=True)})
    def post(self, request: Request, pk: UUID) -> Response:
        """Fetch studies that a search has found. What arrives becomes studies of the department."""
        by = identify(request)
        found = access.search(by, pk)
        given = ChosenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        begun = searching.retrieve(by, found, given.validated_data["studies"])
        return Response(RetrievalSerializer(begun, many=True).data, status=202)


class RetrievalCancel(APIView):
    """The end of a retrieval before its time."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="cancelled, or ended before")})
    def post(self, request: Request, pk: UUID) -> Response:
        """Fetch no more of a study. What has arrived stays."""
        by = identify(request)
        searching.cancel(by, access.retrieval(by, pk))
        return Response(status=204)


def _department(request: Request, slug: str) -> Department:
    return visible_department(identify(request), slug, permissions.may_search_pacs)
