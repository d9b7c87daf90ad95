"""Patients in the REST API."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.studies.access import visible_patient
from webapp.studies.api import serializers
from webapp.studies.api.lists import FilteredList, PatientFilters
from webapp.studies.api.views import TOKEN
from webapp.studies.models import Patient
from webapp.studies.services import deletion


def _patient(request: Request, pk: UUID, may: permissions.Predicate = permissions.may_see) -> Patient:
    return visible_patient(identities.identify(request), pk, may)


@extend_schema_view(get=extend_schema(parameters=[PatientFilters, TOKEN]))
class Patients(FilteredList):
    """Your patients, the latest first."""

    serializer_class = serializers.PatientSerializer
    filters = PatientFilters
    queryset = Patient.objects.none()

    def get_queryset(self) -> Any:
        return Patient.objects.visible_to(identities.identify(self.request))


class PatientDetail(APIView):
    """One patient."""

    @extend_schema(responses={200: serializers.PatientSerializer}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> Response:
        patient = _patient(request, pk)
        record(identities.identify(request), Action.VIEW, patient)
        return Response(serializers.PatientSerializer(patient, context={"request": request}).data)

    @extend_schema(responses={204: None}, parameters=[TOKEN])
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a patient with all their studies and images, their results, reviews and files."""
        deletion.delete_patient(_patient(request, pk, permissions.may_delete), identities.identify(request))
        return Response(status=204)
