"""What clients send."""

from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.studies.choices import Priority


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


def _department() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="the slug of the department that it is for, or empty for your own uploads; without this field, your "
        "department where you may upload to exactly one",
    )


class UploadSerializer(FormSerializer):
    file = serializers.FileField(allow_empty_file=True)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, default=Priority.INTERACTIVE)
    department = _department()


class StudyUploadSerializer(FormSerializer):
    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), min_length=1)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    name = serializers.CharField(required=False, max_length=255, default="", allow_blank=True)
    department = _department()


class MoreFilesSerializer(FormSerializer):
    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), min_length=1)


@extend_schema_field({"type": "string", "format": "image-base64"})
class ImageField(serializers.CharField):
    """An image as text."""


class PredictSerializer(serializers.Serializer):
    image = ImageField(help_text="a picture in base64, or as a data URL")
    department = _department()


class ChangesSerializer(serializers.Serializer):
    """What is to be changed; what is left out stays. A field that cannot be changed is an error."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := [str(name) for name in data if name not in self.fields]):
            known = " and ".join(f"'{name}'" for name in self.fields)
            raise serializers.ValidationError({name[:50]: [f"Only {known} can be changed."] for name in unknown})
        return super().to_internal_value(data)


class ImageChangesSerializer(ChangesSerializer):
    patient = serializers.CharField(
        required=False, max_length=128, allow_blank=True, help_text="an identifier; empty for no patient"
    )
    priority = serializers.ChoiceField(
        choices=Priority.choices, required=False, help_text="as long as the image waits to be read"
    )


class StudyChangesSerializer(ChangesSerializer):
    name = serializers.CharField(required=False, max_length=255, allow_blank=True)
    patient = serializers.CharField(
        required=False,
        max_length=128,
        allow_blank=True,
        help_text="an identifier; empty for no patient. Images of the study that have another patient keep them",
    )
