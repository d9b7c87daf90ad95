"""Export a study's de-identified DICOM files, for managers."""

from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.dicom.services import deidentified
from webapp.http.serializers import FlagField, StrictSerializer
from webapp.studies.access import visible_study
from webapp.studies.api.pictures import TOKEN


class KeptSerializer(StrictSerializer):
    """What the files keep (the options of PS3.15's confidentiality profile)."""

    dates = FlagField(default=False, help_text="keep dates, all dates of a patient shifted by the same number of days")
    characteristics = FlagField(default=False, help_text="keep age, sex, size, weight and the like")
    device = FlagField(default=False, help_text="keep what identifies the device")


class Deidentified(APIView):
    """A study's DICOM files without patient details, as a ZIP."""

    @extend_schema(parameters=[KeptSerializer, TOKEN], responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        identity = identify(request)
        study = visible_study(identity, pk, permissions.may_follow)
        options = KeptSerializer(data=request.query_params.dict())
        options.is_valid(raise_exception=True)
        kept = sorted(name for name, value in options.validated_data.items() if value)
        record(identity, Action.EXPORT, study, what="deidentified", kept=kept)
        response = StreamingHttpResponse(
            deidentified.stream(study, **options.validated_data), content_type="application/zip"
        )
        response.headers["Content-Disposition"] = f'attachment; filename="deidentified-{study.pk}.zip"'
        return response
