"""What the API's descriptions share."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

PROBLEM = OpenApiResponse(OpenApiTypes.OBJECT, description="application/problem+json")
