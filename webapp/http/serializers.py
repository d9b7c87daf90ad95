"""Base classes of the serializers of requests."""

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers
from rest_framework.fields import empty


class FlagField(serializers.BooleanField):
    """Takes true and false only: REST Framework would also take 1, "on" and "Yes", and no answer for false."""

    default_empty_html = empty

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool) and data not in ("true", "false"):
            self.fail("invalid", input=data)
        return data in (True, "true")


#: What JSON has as a text.
TEXTS = (serializers.CharField, serializers.UUIDField, serializers.DateField, serializers.DateTimeField)


class TypedSerializer(serializers.Serializer):
    """Accepts only strings: REST Framework would also accept the number 7, which may have been ``007``."""

    def errors_of(self, data: Mapping[Any, Any]) -> dict[str, list[str]]:
        texts = {name for name, field in self.fields.items() if isinstance(field, TEXTS)}
        return {
            name: ["This is a text; please put it into quotation marks."]
            for name, value in data.items()
            if name in texts and isinstance(value, int | float)
        }

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (errors := self.errors_of(data)):
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


class StrictSerializer(TypedSerializer):
    """Refuses a field that there is not, too: one that is misspelt would be left out without a word."""

    def errors_of(self, data: Mapping[Any, Any]) -> dict[str, list[str]]:
        known = ", ".join(self.fields)
        unknown = (str(name)[:50] for name in data if name not in self.fields)
        return super().errors_of(data) | {name: [f"There is no such field; there are: {known}."] for name in unknown}


class FormSerializer(serializers.Serializer):
    """A form of which nothing is left out: a second value of a field, or a file that no field takes, is an error."""

    def to_internal_value(self, data: Any) -> Any:
        errors = {}
        for name, values in data.lists() if hasattr(data, "lists") else ():
            field = self.fields.get(name)
            if field is None:
                if any(isinstance(value, UploadedFile) for value in values):
                    taken = "files" if "files" in self.fields else "file"
                    errors[name] = [f"No file is taken under this name. Please send it as '{taken}'."]
            elif len(values) > 1 and not isinstance(field, serializers.ListField):
                more = " Please send several files to /api/v1/studies/." if name == "file" else ""
                errors[name] = [f"This was sent {len(values)} times, and only one can be taken.{more}"]
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


class StrictSerializerExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes the strict serializer in the OpenAPI document."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # as its docs say
        return {**schema, "additionalProperties": False} if direction == "request" else schema
