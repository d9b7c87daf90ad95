"""Errors, results and readings, which several responses share."""

from datetime import datetime
from typing import Any

from django.utils.timezone import localtime
from rest_framework import serializers

from webapp.studies.choices import ReadingState, ResultGroup
from webapp.studies.models import Reading


def moment(value: datetime | None) -> str | None:
    """Format a time like REST Framework, which would look up its settings for each time."""
    text = localtime(value).isoformat() if value else None
    return f"{text[:-6]}Z" if text and text.endswith("+00:00") else text


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class ArchiveErrorSerializer(ErrorSerializer):
    """The reason why a ZIP's files, or some of them, did not become images."""

    filename = serializers.CharField()


class ReadingSerializer(serializers.Serializer):
    """One model's reading of an image: its state and result."""

    model = serializers.CharField(allow_null=True)
    shadow = serializers.BooleanField(help_text="whether the model reads in shadow mode and its result does not count")
    status = serializers.ChoiceField(choices=ReadingState.choices)
    label: Any = serializers.CharField(allow_null=True)
    probability = serializers.FloatField(allow_null=True)
    probabilities = serializers.DictField(child=serializers.FloatField(), help_text="by the model's classes")
    threshold = serializers.FloatField(allow_null=True)
    operating_point = serializers.CharField(allow_null=True)
    operating_points = serializers.DictField(child=serializers.FloatField())
    calibration = serializers.DictField(allow_null=True, help_text="the department's; null for the model's own")
    result_group = serializers.ChoiceField(choices=ResultGroup.choices, allow_null=True)
    reliable = serializers.BooleanField(allow_null=True)
    evidence_inside_lungs = serializers.FloatField(allow_null=True)
    warnings = ErrorSerializer(many=True)
    error = ErrorSerializer(allow_null=True)
    attempts = serializers.IntegerField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, reading: Reading) -> dict[str, Any]:
        return reading_fields(reading)


def reading_fields(reading: Reading) -> dict[str, Any]:
    """Return the fields of :class:`ReadingSerializer`."""
    done = reading.state == ReadingState.SUCCEEDED
    return {
        "model": reading.bundle or None,
        "shadow": reading.shadow,
        "status": reading.state,
        **result_fields(reading if done else None),
        "probabilities": reading.probabilities,
        "operating_points": reading.operating_points,
        "calibration": reading.calibration,
        "evidence_inside_lungs": reading.evidence_inside_lungs,
        "error": {"code": reading.error_code, "detail": reading.error_detail} if reading.error_code else None,
        "attempts": reading.attempts,
        "finished_at": moment(reading.finished_at),
    }


def result_fields(result: Reading | None) -> dict[str, Any]:
    """Return the fields of a result in images, readings, tables and ``/predict``."""
    return {
        "label": result.shown_label if result else None,
        "probability": result.probability if result else None,
        "threshold": result.threshold if result else None,
        "operating_point": (result.operating_point or None) if result else None,
        "result_group": result.group if result else None,
        "reliable": result.is_reliable if result else None,
        "warnings": result.warnings if result else [],
    }
