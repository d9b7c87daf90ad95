"""The pages as an app on a tablet: what browsers ask for to install it, and a page for when there is no connection.

No page, X-ray or result is kept for it on the device: only the page without connection, with its style and icon.
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
    described = {
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
    return JsonResponse(described, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """The worker, at the root since it may answer for what is below its own address only.

    Its bytes differ in each release, by which browsers notice that there is a new one.
    """
    kept = [
        reverse("offline"),
        *(static(f"dashboard/{name}") for name in ("tokens.css", "dashboard.css", "icon.svg")),
    ]
    script = static("dashboard/offline-worker.js")
    text = f"self.RELEASE = {json.dumps(settings.VERSION)};\nself.KEPT = {json.dumps(kept)};\n"
    return HttpResponse(f"{text}importScripts({json.dumps(script)});\n", content_type="text/javascript")


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """The page without connection. The worker asks for it without cookies, so it is nobody's own."""
    return render(request, "dashboard/offline.html")
