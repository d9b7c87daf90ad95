"""The API for destinations, for the managers of their department."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.departments import permissions
from webapp.departments.access import visible_department
from webapp.departments.models import Department
from webapp.dicom import access
from webapp.dicom.api.serializers import (
    DestinationDeliverySerializer,
    DestinationSerializer,
    NewDestinationSerializer,
)
from webapp.dicom.models import Destination
from webapp.dicom.services import destinations
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.outbox.models import Delivery


class Destinations(ListAPIView):
    """The systems to which the results of a department's DICOM images are sent."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    serializer_class = DestinationSerializer
    queryset = Destination.objects.none()
    ordering = "created_at"

    def _department(self) -> Department:
        return visible_department(identify(self.request), self.kwargs["slug"], permissions.may_manage)

    def get_queryset(self) -> Any:
        return Destination.objects.filter(department=self._department()).select_related("department")

    @extend_schema(request=NewDestinationSerializer, responses={201: DestinationSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Add a destination. It gets new results from now on."""
        department = self._department()
        serializer = NewDestinationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        destination = destinations.create(identify(request), department, **serializer.validated_data)
        return Response(DestinationSerializer(destination).data, status=201)


class DestinationDetail(APIView):
    """One destination."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=DestinationSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """A destination with the outcome of the last attempt."""
        return Response(DestinationSerializer(access.destination(identify(request), pk)).data)

    @extend_schema(request=NewDestinationSerializer, responses=DestinationSerializer)
    def patch(self, request: Request, pk: UUID) -> Response:
        """Change a destination. Deliveries that wait are sent to the new address."""
        identity = identify(request)
        destination = access.destination(identity, pk)
        serializer = NewDestinationSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        destinations.change(identity, destination, dict(serializer.validated_data))
        return Response(DestinationSerializer(destination).data)

    @extend_schema(responses={204: OpenApiResponse(description="deleted")})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a destination. Its waiting deliveries are dropped."""
        identity = identify(request)
        destinations.delete(identity, access.destination(identity, pk))
        return Response(status=204)


class DestinationTest(APIView):
    """A test of the connection to a destination."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(request=None, responses={202: OpenApiResponse(description="asked")})
    def post(self, request: Request, pk: UUID) -> Response:
        """Test whether a destination is reachable, by a C-ECHO or a search. The answer is among its deliveries."""
        identity = identify(request)
        destinations.test(identity, access.destination(identity, pk))
        return Response(status=202)


class DestinationDeliveries(ListAPIView):
    """The deliveries to a destination, latest first, with each attempt."""

    permission_classes = (IsAuthenticated,)
    serializer_class = DestinationDeliverySerializer
    queryset = Delivery.objects.none()
    ordering = "-created_at"

    def get_queryset(self) -> Any:
        return access.deliveries(access.destination(identify(self.request), self.kwargs["pk"]))
