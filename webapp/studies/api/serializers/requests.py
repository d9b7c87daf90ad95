"""Request bodies."""

import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.http.serializers import FlagField, FormSerializer, StrictSerializer, TypedSerializer
from webapp.studies.choices import SENT_VIEWS, Priority
from webapp.studies.models import Patient
from webapp.studies.particulars import OLDEST

STAT = "whether it is to be read before all others, by the model and by people"


def _department() -> serializers.CharField:
    return serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="the slug of the department that it is for, or empty for your own uploads; if this field is left "
        "out, your department if you may upload to exactly one",
    )


def _stat() -> FlagField:
    return FlagField(required=False, default=None, help_text=STAT)


class AgeField(serializers.FloatField):
    """An age in years."""

    default_error_messages = {"invalid": f"An age is a number of years from 0 to {OLDEST}, such as 2.5."}

    def __init__(self, *, allow_null: bool = False) -> None:
        super().__init__(
            required=False,
            allow_null=allow_null,
            default=None,
            min_value=0,
            max_value=OLDEST,
            help_text="the patient's age in years when the X-ray was taken; by default, from the date of birth",
        )

    def to_internal_value(self, data: Any) -> float:
        age = super().to_internal_value(data)
        if isinstance(data, bool) or not math.isfinite(age):
            self.fail("invalid")
        return age


class ViewField(serializers.ChoiceField):
    """How the X-ray was taken."""

    def __init__(self, *, allow_null: bool = False) -> None:
        super().__init__(
            choices=SENT_VIEWS,
            required=False,
            allow_blank=True,
            allow_null=allow_null,
            default=None,
            help_text="how the X-ray was taken",
        )

    def to_internal_value(self, data: Any) -> Any:
        view = super().to_internal_value(data)
        return None if view in ("", "unknown") else view


class UploadSerializer(FormSerializer):
    file = serializers.FileField(allow_empty_file=True)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    age = AgeField()
    view = ViewField()
    comment = serializers.CharField(required=False, max_length=500, default=None, allow_blank=True)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, default=Priority.INTERACTIVE)
    stat = _stat()
    department = _department()


class StudyUploadSerializer(FormSerializer):
    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        min_length=1,
        required=False,
        help_text="at least one, unless more_to_come is set",
    )
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    name = serializers.CharField(required=False, max_length=255, default="", allow_blank=True)
    age = AgeField()
    view = ViewField()
    stat = _stat()
    more_to_come = FlagField(
        required=False, default=None, help_text="whether the study stays open for more files until it is closed"
    )
    department = _department()

    def validate(self, attrs: Any) -> Any:
        if not attrs.get("files") and not attrs["more_to_come"]:
            raise serializers.ValidationError({"files": ["Please send at least one file."]})
        return attrs


class MoreFilesSerializer(FormSerializer):
    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), min_length=1, help_text="images, and ZIPs of images"
    )
    age = AgeField()
    view = ViewField()


@extend_schema_field({"type": "string", "format": "image-base64"})
class ImageField(serializers.CharField):
    """An image as text."""


class PredictSerializer(TypedSerializer):
    image = ImageField(help_text="a picture in base64, or as a data URL")
    age = AgeField(allow_null=True)
    view = ViewField(allow_null=True)
    department = _department()


class PatientFieldsSerializer(StrictSerializer, serializers.ModelSerializer):
    """The fields of a patient."""

    class Meta:
        model = Patient
        fields: tuple[str, ...] = ("identifier", "name", "birth_date", "sex")


class NewPatientSerializer(PatientFieldsSerializer):
    department = _department()

    class Meta(PatientFieldsSerializer.Meta):
        fields = (*PatientFieldsSerializer.Meta.fields, "department")
        validators = ()  # REST Framework's validators would compare the slug with the departments' ids


class MergeSerializer(StrictSerializer):
    other = serializers.UUIDField(
        help_text="the id of the patient whose studies and images are moved, and who is deleted"
    )


class ImageChangesSerializer(StrictSerializer):
    patient = serializers.CharField(
        required=False, max_length=128, allow_blank=True, help_text="an identifier; empty for no patient"
    )
    priority = serializers.ChoiceField(
        choices=Priority.choices, required=False, help_text="as long as the image waits to be read"
    )
    stat = FlagField(required=False, help_text=STAT)


class StudyChangesSerializer(StrictSerializer):
    name = serializers.CharField(required=False, max_length=255, allow_blank=True)
    patient = serializers.CharField(
        required=False,
        max_length=128,
        allow_blank=True,
        help_text="an identifier; empty for no patient. Images of the study with another patient keep that patient",
    )
    stat = FlagField(required=False, help_text=f"{STAT}, with all of its images")
