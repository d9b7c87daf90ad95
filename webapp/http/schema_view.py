"""The address of the API's description."""

from threading import Lock
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.views import SpectacularAPIView


class SchemaView(SpectacularAPIView):
    """Describe the API, to one client after the other.

    drf-spectacular loads its extensions at the first request and without a lock: two first requests at once would fail.
    """

    _lock = Lock()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with self._lock:
            return super().dispatch(request, *args, **kwargs)
