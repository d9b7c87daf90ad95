"""A study's results as files."""

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.studies.access import visible_study
from webapp.studies.api.pictures import TOKEN
from webapp.studies.files import names, results, results_csv


def _response(request: Request, pk: UUID, write: Any, content_type: str, ending: str) -> StreamingHttpResponse:
    identity = identities.identify(request)
    study = visible_study(identity, pk)
    record(identity, Action.EXPORT, study)
    lines = write(study, request.build_absolute_uri, verdicts=permissions.may_see_verdicts(identity, study))
    response = StreamingHttpResponse(lines, content_type=content_type)
    filename = names.download(study.name or f"study-{study.pk}", ending)
    response.headers["Content-Disposition"] = str(content_disposition_header(True, filename))
    return response


class StudyTable(APIView):
    """A study's results as CSV, with one row per image."""

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        return _response(request, pk, results_csv.csv_rows, "text/csv; charset=utf-8", ".csv")


class StudyLines(APIView):
    """A study's results as JSON lines, with one object per image. The fields are those of the table."""

    @extend_schema(responses={(200, "application/x-ndjson"): OpenApiTypes.STR}, parameters=[TOKEN])
    def get(self, request: Request, pk: UUID) -> StreamingHttpResponse:
        return _response(request, pk, results.json_lines, "application/x-ndjson", ".jsonl")
