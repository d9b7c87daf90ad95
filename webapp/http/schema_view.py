"""View that serves the API's description."""

from dataclasses import dataclass
from threading import Lock
from typing import Any, ClassVar, cast

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

#: drf-spectacular loads its extensions without a lock when it first describes the API: concurrent requests would fail.
ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Description:
    """The API's description as it was last sent."""

    site: str
    content: bytes
    headers: dict[str, str]


class SchemaView(SpectacularAPIView):
    """Describe the API. This takes a second and depends only on the code and the site's address, so each process keeps
    the latest description in each format and language.
    """

    latest: ClassVar[dict[tuple[str, str], Description]] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        language = request.GET.get("lang", "")
        # Any other language gets the English description.
        kind = (_renderer(request).media_type, language if language in dict(settings.LANGUAGES) else "")
        site = request.build_absolute_uri("/")
        with ONE_AT_A_TIME:
            found = self.latest.get(kind)
            if found is None or found.site != site:
                found = self.latest[kind] = self._describe(request, site)
        return HttpResponse(found.content, headers=found.headers)

    def _describe(self, request: Request, site: str) -> Description:
        answer: Any = cast("Any", super()).get(request)
        answer.accepted_renderer = _renderer(request)
        answer.accepted_media_type = answer.accepted_renderer.media_type
        answer.renderer_context = self.get_renderer_context()
        return Description(site, answer.rendered_content, dict(answer.headers))


def _renderer(request: Any) -> Any:
    """The renderer that REST Framework has chosen by the request's ``Accept`` header."""
    return request.accepted_renderer
