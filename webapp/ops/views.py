"""Health, readiness and metrics."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.departments.api import IsAdministrator
from webapp.ops import checks, metrics


def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """An upload would be served at once (200), or what is missing (503)."""
    parts = checks.all_checks()
    ready = all(parts.values())
    return JsonResponse({"status": "ready" if ready else "not ready", "parts": parts}, status=200 if ready else 503)


def metrics_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


@extend_schema(exclude=True)
class Administrator(APIView):
    """Does an administrator ask? For nginx' ``auth_request`` before Flower, Grafana and the metrics.

    204 with their name in ``X-Staff``; 401 where nobody is signed in, 403 for everybody else. A session as well as an
    API token will do.
    """

    permission_classes = (IsAdministrator,)

    def get(self, request: Request) -> Response:
        return Response(status=204, headers={"X-Staff": request.user.get_username(), "Cache-Control": "no-store"})
