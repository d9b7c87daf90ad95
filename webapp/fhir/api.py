"""A study's results as FHIR."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.fhir.bundles import VERSIONS, bundle
from webapp.http.serializers import StrictSerializer
from webapp.studies.access import visible_study
from webapp.studies.api.pictures import TOKEN

MEDIA_TYPE = "application/fhir+json"


class VersionSerializer(StrictSerializer):
    fhirVersion = serializers.ChoiceField(VERSIONS, default=VERSIONS[0], help_text="5.0 is R5, 4.0 is R4")


class StudyFHIR(APIView):
    """A study's results as a FHIR Bundle."""

    @extend_schema(parameters=[VersionSerializer, TOKEN], responses={(200, MEDIA_TYPE): OpenApiTypes.OBJECT})
    def get(self, request: Request, pk: UUID) -> Response:
        """A Bundle with a DiagnosticReport, its Observations, the ImagingStudy and the Device."""
        identity = identify(request)
        study = visible_study(identity, pk)
        parameters = VersionSerializer(data=_version(request))
        parameters.is_valid(raise_exception=True)
        version = parameters.validated_data["fhirVersion"]
        record(identity, Action.EXPORT, study, format=f"fhir {version}")
        return Response(bundle(study, version), content_type=f"{MEDIA_TYPE}; fhirVersion={version}")


def _version(request: Request) -> dict[str, Any]:
    """The query parameters. If they name no version, it is taken from the Accept header."""
    parameters: dict[str, Any] = dict(request.query_params.items())
    accepted = next(
        (media_type for media_type in request._request.accepted_types if str(media_type).startswith(MEDIA_TYPE)), None
    )
    if "fhirVersion" not in parameters and accepted and "fhirversion" in accepted.params:
        parameters["fhirVersion"] = accepted.params["fhirversion"]
    return parameters
