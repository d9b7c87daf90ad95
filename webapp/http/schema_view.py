"""The address of the API's description."""

from threading import Lock
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.views import SpectacularAPIView

#: drf-spectacular loads its extensions when it first describes the API, without a lock: two who ask at once would fail.
ONE_AT_A_TIME = Lock()


class SchemaView(SpectacularAPIView):
    """Describe the API, to one client after the other."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with ONE_AT_A_TIME:
            return super().dispatch(request, *args, **kwargs)
