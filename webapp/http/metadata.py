"""Responses to OPTIONS."""

from typing import TYPE_CHECKING, Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module


class Metadata(BaseMetadata):
    """The name and description of a view; the OpenAPI document has the rest. REST Framework's own class looks for a
    serializer in every generic view, and fails if there is none.
    """

    def determine_metadata(self, request: Request, view: "APIView") -> dict[str, Any]:
        return {"name": view.get_view_name(), "description": view.get_view_description()}
