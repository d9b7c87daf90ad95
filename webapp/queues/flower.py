"""Serve Flower behind the service's own sign-in, for installations without a proxy that does so."""

import re
import urllib.error
import urllib.request
from base64 import b64encode
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import Error, close_old_connections
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from webapp.accounts.identity import identify
from webapp.departments import permissions
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.models import Image

#: The only address that Flower's pages request by POST: the rows of its table. The request changes nothing.
ROWS = "tasks/datatable"
SECONDS = 10
#: Flower's table sets styles by script, and one of its pages has an inline script that sets the refresh interval.
POLICY = (
    "default-src 'self'; script-src 'self' 'sha256-A0YIP5A+DKoseGAUTHRoMPDkKPK5cKzfYH3mjcCKtj8='; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
#: The address is this machine's own, so the environment's proxy is not used.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@csrf_exempt  # Flower's pages have no CSRF token of Django, and nothing can be changed here
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def flower(request: HttpRequest, path: str = "") -> HttpResponse:
    """A page of Flower, for administrators."""
    if not permissions.is_administrator(identify(request).user):
        raise Refused("not_allowed", "Only administrators can open Flower.")
    if not settings.FLOWER_UPSTREAM or path.startswith("api/task/") or (request.method == "POST" and path != ROWS):
        raise Http404
    query = f"?{request.META['QUERY_STRING']}" if request.META["QUERY_STRING"] else ""
    url = f"{settings.FLOWER_UPSTREAM}/flower/{path}{query}"
    headers = {"Authorization": "Basic " + b64encode(settings.FLOWER_BASIC_AUTH.encode()).decode()}
    if request.method == "POST":
        headers["Content-Type"] = request.headers.get("Content-Type", "")
    body = request.body if request.method == "POST" else None
    try:
        upstream_request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310  (FLOWER_UPSTREAM, a setting)
        with _opener.open(upstream_request, timeout=SECONDS) as upstream:
            content, status, kind = upstream.read(), upstream.status, upstream.headers.get("Content-Type")
    except urllib.error.HTTPError as error:
        content, status, kind = error.read(), error.code, error.headers.get("Content-Type")
    except OSError:
        return HttpResponse("Flower does not run at the moment.", status=502, content_type="text/plain")
    response = HttpResponse(content, status=status, content_type=kind)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "private, max-age=3600" if path.startswith("static/") else "no-store"
    return response


def shown_arguments(task: str, args: str | None) -> str | None:
    """The arguments of a task for Flower. If the task is about an image, show its file name and its page instead."""
    if task not in (dispatch.INGEST, dispatch.INFER) or not (match := re.search(r"[0-9a-f-]{36}", args or "")):
        return args
    try:
        return _image(UUID(match[0]))
    except (ValueError, Error):
        close_old_connections()
        return args


@lru_cache(maxsize=10_000)
def _image(pk: UUID) -> str:
    filename = Image.objects.filter(pk=pk).values_list("filename", flat=True).first()
    return f"{filename or 'an image that was deleted'} /images/{pk}/"
