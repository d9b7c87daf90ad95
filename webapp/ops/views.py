"""API views of health, readiness and metrics."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, inline_serializer
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.departments.api import IsAdministrator
from webapp.ops import checks, metrics

HEALTH = inline_serializer("Health", {"status": serializers.CharField(help_text="`ok`")})
READINESS = inline_serializer(
    "Readiness",
    {
        "status": serializers.CharField(help_text="`ready` or `not ready`"),
        "parts": serializers.DictField(child=serializers.BooleanField()),
    },
)


class Open(APIView):
    """Base class of views for programs that monitor the service, without authentication."""

    authentication_classes = ()


class Health(Open):
    """Check that this process responds."""

    @extend_schema(responses=HEALTH)
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Readiness(Open):
    """Check whether an upload would be processed at once (200), or what is missing (503)."""

    @extend_schema(responses={200: READINESS, 503: READINESS})
    def get(self, request: Request) -> Response:
        parts = checks.all_checks()
        ready = all(parts.values())
        return Response({"status": "ready" if ready else "not ready", "parts": parts}, status=200 if ready else 503)


class Metrics(Open):
    """Metrics for Prometheus."""

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


@extend_schema(exclude=True)
class Administrator(APIView):
    """Check whether the request comes from an administrator, for nginx' ``auth_request`` before Flower, Grafana and the
    metrics.

    Responds with 204 and the user name in ``X-Staff`` for administrators, 401 if nobody is signed in, and 403 for
    everyone else. Both sessions and API tokens are accepted.
    """

    permission_classes = (IsAdministrator,)

    def get(self, request: Request) -> Response:
        return Response(status=204, headers={"X-Staff": request.user.get_username(), "Cache-Control": "no-store"})
