"""The API's OpenAPI document, generated once for all its tests."""

import functools
import json
from typing import Any

from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.settings import spectacular_settings


@functools.cache
def document() -> dict[str, Any]:
    schema = spectacular_settings.DEFAULT_GENERATOR_CLASS().get_schema(public=True)
    parsed: dict[str, Any] = json.loads(OpenApiJsonRenderer().render(schema))
    return parsed
