"""Base classes for serializers of requests."""

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers
from rest_framework.fields import empty


class FlagField(serializers.BooleanField):
    """Accepts only true and false. REST Framework would also accept 1, "on" and "Yes", and read a missing value as
    false.
    """

    default_empty_html = empty

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool) and data not in ("true", "false"):
            self.fail("invalid", input=data)
        return data in (True, "true")


#: Fields whose values are strings in JSON.
STRING_FIELDS = (serializers.CharField, serializers.UUIDField, serializers.DateField, serializers.DateTimeField)


class TypedSerializer(serializers.Serializer):
    """Accepts only strings in text fields. REST Framework would accept the number 7, which may have been ``007``."""

    def errors_of(self, data: Mapping[Any, Any]) -> dict[str, list[str]]:
        string_fields = {name for name, field in self.fields.items() if isinstance(field, STRING_FIELDS)}
        return {
            name: ["This is a text; please put it into quotation marks."]
            for name, value in data.items()
            if name in string_fields and isinstance(value, int | float)
        }

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (errors := self.errors_of(data)):
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data)


class StrictSerializer(TypedSerializer):
    """Also refuses unknown fields: REST Framework would silently ignore a misspelt one."""

    def errors_of(self, data: Mapping[Any, Any]) -> dict[str, list[str]]:
        known = ", ".join(self.fields)
        unknown = (str(name)[:50] for name in data if name not in self.fields)
        return super().errors_of(data) | {name: [f"There is no such field; there are: {known}."] for name in unknown}


class FormSerializer(serializers.Serializer):
    """Ignores nothing in a form: a second value for a field, or a file that no field accepts, is an error."""

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
