"""Patients in the REST API."""

from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.studies.access import visible_patient
from webapp.studies.api import serializers
from webapp.studies.api.filters import PatientFilters
from webapp.studies.api.lists import FilteredList
from webapp.studies.api.pictures import TOKEN
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.models import Patient
from webapp.studies.services import deletion, patients


def _patient(request: Request, pk: UUID, permission: permissions.Predicate = permissions.may_see) -> Patient:
    return visible_patient(identities.identify(request), pk, permission)


def _response(request: Request, patient: Patient) -> Response:
    return Response(serializers.PatientSerializer(patient, context={"request": request}).data)


@extend_schema_view(get=extend_schema(parameters=[PatientFilters, TOKEN]))
class Patients(FilteredList):
    """Your patients, latest first."""

    throttle_classes = (UploadThrottle,)
    serializer_class = serializers.PatientSerializer
    filters = PatientFilters
    queryset = Patient.objects.select_related("department")

    @extend_schema(
        request=serializers.NewPatientSerializer,
        responses={201: serializers.AcceptedPatientSerializer},
        parameters=[TOKEN],
    )
    def post(self, request: Request) -> Response:
        """Create a patient."""
        identity = identities.ensure(identities.identify(request))
        serializer = serializers.NewPatientSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        patient = patients.new(identity, department_for(identity, values.pop("department", None)))
        patients.save(patient, identity, **values)
        data = dict(serializers.PatientSerializer(patient, context={"request": request}).data)
        if identity.guest:
            data["token"] = identities.make_token(identity.guest)
        response = Response(data, status=201, headers={"Location": data["url"]})
        identities.remember(response, identity)
        return response


class PatientDetail(APIView):
    """One patient."""

    @extend_schema(responses={200: serializers.PatientSerializer}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> Response:
        patient = _patient(request, pk)
        record(identities.identify(request), Action.VIEW, patient)
        return _response(request, patient)

    @extend_schema(
        request=serializers.PatientFieldsSerializer(partial=True),
        responses={200: serializers.PatientSerializer},
        parameters=[TOKEN],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        """Change a patient. Only the fields that are sent are changed."""
        patient = _patient(request, pk, permissions.may_change)
        serializer = serializers.PatientFieldsSerializer(patient, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        fields = {name: getattr(patient, name) for name in patients.FIELDS} | serializer.validated_data
        return _response(request, patients.save(patient, identities.identify(request), **fields))

    @extend_schema(responses={204: None}, parameters=[TOKEN])
    def delete(self, request: Request, pk: UUID) -> Response:
        """Delete a patient with all their studies and images, their results, reviews and files."""
        deletion.delete_patient(_patient(request, pk, permissions.may_delete), identities.identify(request))
        return Response(status=204)


class PatientMerge(APIView):
    """Merge two patients who are the same person."""

    @extend_schema(
        request=serializers.MergeSerializer, responses={200: serializers.PatientSerializer}, parameters=[TOKEN]
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Move all studies and images of another patient of the same owner to this one, and delete the other."""
        body = serializers.MergeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        kept, other = (_patient(request, one, permissions.may_delete) for one in (pk, body.validated_data["other"]))
        patients.merge(kept, other, identities.identify(request))
        return _response(request, _patient(request, pk))
