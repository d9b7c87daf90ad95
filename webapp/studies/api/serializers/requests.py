"""What clients send."""

from rest_framework import serializers

from webapp.studies.choices import Priority


def _department() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="the slug of the department that it is for, or empty for your own uploads; without this field, your "
        "department where you may upload to exactly one",
    )


class UploadSerializer(serializers.Serializer):
    file = serializers.FileField(allow_empty_file=True)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, default=Priority.INTERACTIVE)
    department = _department()


class StudyUploadSerializer(serializers.Serializer):
    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    name = serializers.CharField(required=False, max_length=255, default="", allow_blank=True)
    department = _department()


class MoreFilesSerializer(serializers.Serializer):
    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False)


class PredictSerializer(serializers.Serializer):
    image = serializers.CharField(help_text="a JPEG or PNG in base64, with or without a data: prefix")
    department = _department()
