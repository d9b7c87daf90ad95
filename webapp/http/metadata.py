"""The answers to OPTIONS."""

from typing import TYPE_CHECKING, Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module


class Metadata(BaseMetadata):
    """What an address is for; the OpenAPI document has the rest. REST Framework's own looks for a serializer of every
    generic view, and fails where there is none.
    """

    def determine_metadata(self, request: Request, view: "APIView") -> dict[str, Any]:
        return {"name": view.get_view_name(), "description": view.get_view_description()}
