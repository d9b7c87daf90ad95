"""The pages as an installable app: its manifest, its service worker, and a page to show without a connection.

The device stores no page, X-ray or result, only the offline page with its styles and icon.
"""

import json

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

COLOUR = "#0b6e7f"


@require_safe
@cache_control(no_cache=True)
def manifest(request: HttpRequest) -> HttpResponse:
    icons = [
        {"src": static("dashboard/icon.svg"), "type": "image/svg+xml", "sizes": "any"},
        {"src": static("dashboard/icon-192.png"), "type": "image/png", "sizes": "192x192"},
        {"src": static("dashboard/icon-512.png"), "type": "image/png", "sizes": "512x512"},
        {"src": static("dashboard/icon-square.png"), "type": "image/png", "sizes": "512x512", "purpose": "maskable"},
    ]
    content = {
        "id": "/",
        "name": "PneumoQueue",
        "short_name": "PneumoQueue",
        "description": _("Reads chest X-rays for pneumonia. Not a diagnosis."),
        "start_url": reverse("home"),
        "scope": "/",
        "display": "standalone",
        "background_color": COLOUR,
        "theme_color": COLOUR,
        "icons": icons,
    }
    return JsonResponse(content, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker. It is at the root, because it can only handle addresses below its own.

    Its bytes differ in each release, so that browsers notice a new one.
    """
    cached = [
        reverse("offline"),
        *(static(f"dashboard/{name}") for name in ("tokens.css", "dashboard.css", "icon.svg")),
    ]
    script = static("dashboard/offline-worker.js")
    text = f"self.RELEASE = {json.dumps(settings.VERSION)};\nself.KEPT = {json.dumps(cached)};\n"
    return HttpResponse(f"{text}importScripts({json.dumps(script)});\n", content_type="text/javascript")


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """The offline page. The service worker requests it without cookies, so it contains nothing personal."""
    return render(request, "dashboard/offline.html")
