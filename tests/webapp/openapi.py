"""The API's description, made once for all tests of it."""

import functools
import json
from typing import Any

from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.settings import spectacular_settings


@functools.cache
def document() -> dict[str, Any]:
    made = spectacular_settings.DEFAULT_GENERATOR_CLASS().get_schema(public=True)
    found: dict[str, Any] = json.loads(OpenApiJsonRenderer().render(made))
    return found
