"""Images, and the responses to their uploads."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from webapp.http.links import LinkField, link
from webapp.studies.api.serializers.results import (
    ErrorSerializer,
    ReadingSerializer,
    moment,
    reading_fields,
    result_fields,
)
from webapp.studies.choices import PneumoniaKind, ResultGroup, ReviewStage, Status, Verdict, View
from webapp.studies.files.results import final_fields
from webapp.studies.models import Image, Reading

#: The most images with the same content that the response to an upload lists.
DUPLICATES = 5


class TimingsSerializer(serializers.Serializer):
    """Seconds spent in each step; null for a step that has not been reached."""

    ingest_wait_s = serializers.FloatField(allow_null=True)
    ingest_s = serializers.FloatField(allow_null=True)
    infer_wait_s = serializers.FloatField(allow_null=True)
    infer_s = serializers.FloatField(allow_null=True)
    total_s = serializers.FloatField(allow_null=True)
    batch_size = serializers.IntegerField(allow_null=True)


def _seconds(start: Any, end: Any) -> float | None:
    return round((end - start).total_seconds(), 4) if start and end else None


class ImageSerializer(serializers.ModelSerializer):
    """An image and, once it has been read, its result."""

    url = LinkField("api-image")
    page_url = LinkField("image")
    study: Any = serializers.HyperlinkedRelatedField("api-study", read_only=True, allow_null=True)
    age = serializers.FloatField(
        read_only=True, allow_null=True, help_text="in years, as it was sent or from the patient's date of birth"
    )
    view = serializers.ChoiceField(choices=View.choices, read_only=True, allow_null=True)
    patient = serializers.CharField(source="patient.identifier", allow_null=True, default=None)
    department = serializers.CharField(source="department.slug", allow_null=True, default=None)
    status = serializers.ChoiceField(choices=Status.choices)
    label: Any = serializers.CharField(read_only=True, allow_null=True)
    probability = serializers.FloatField(read_only=True, allow_null=True, help_text="of pneumonia")
    probability_normal = serializers.FloatField(read_only=True, allow_null=True)
    threshold = serializers.FloatField(read_only=True, allow_null=True)
    operating_point = serializers.CharField(read_only=True, allow_null=True, help_text="the threshold's name")
    result_group = serializers.ChoiceField(choices=ResultGroup.choices, read_only=True, allow_null=True)
    reliable = serializers.BooleanField(
        read_only=True,
        allow_null=True,
        help_text="false if it does not look like a chest X-ray, or the age or view is outside the training data",
    )
    stat = serializers.BooleanField(read_only=True, help_text="to be read by people before all others")
    review_stage = serializers.ChoiceField(choices=ReviewStage.choices, read_only=True)
    verdict = serializers.ChoiceField(
        choices=Verdict.choices, read_only=True, allow_null=True, help_text="the readers' standing verdict, if any"
    )
    verdict_kind = serializers.ChoiceField(choices=PneumoniaKind.choices, read_only=True, allow_null=True)
    final_group: Any = serializers.ChoiceField(
        choices=ResultGroup.choices, read_only=True, allow_null=True, help_text="the verdict's, else `result_group`"
    )
    final_by: Any = serializers.ChoiceField(choices=("reader", "model"), read_only=True, allow_null=True)
    model = serializers.CharField(read_only=True, allow_null=True)
    readings = ReadingSerializer(many=True, read_only=True, help_text="one per model, the primary model's first")
    warnings = ErrorSerializer(many=True, read_only=True)
    error = ErrorSerializer(allow_null=True, read_only=True)
    waits_until = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="when its department's night begins; it is not read before that"
    )
    timings = TimingsSerializer(read_only=True)
    preview_url = serializers.URLField(allow_null=True, read_only=True)
    input_url = serializers.URLField(allow_null=True, read_only=True)
    heatmap_url = serializers.URLField(allow_null=True, read_only=True)

    class Meta:
        model = Image
        fields: tuple[str, ...] = (
            "id", "url", "page_url", "status", "filename", "patient", "age", "view", "comment", "department",
            "priority", "source", "study", "label", "probability", "threshold", "operating_point", "result_group",
            "reliable", "warnings", "reviewed", "probability_normal", "model", "error", "attempts", "width", "height",
            "sha256", "created_at", "finished_at", "waits_until",
            "timings", "preview_url", "input_url", "heatmap_url", "readings", "stat", "review_stage", "verdict",
            "verdict_kind", "final_group", "final_by",
        )  # fmt: skip

    def to_representation(self, image: Image) -> dict[str, Any]:
        """Return the fields without REST Framework, which would build all of them again for each image. That takes
        longer than everything else that a response needs.
        """
        readings: list[Reading] = []
        if image.status != Status.QUEUED:  # a queued image has no readings
            readings = sorted(image.readings.all(), key=lambda reading: (reading.shadow, reading.bundle))
        reading = next((one for one in readings if not one.shadow), None)
        result = image.result_in(reading)
        return {
            "id": str(image.pk),
            "url": self._link("api-image", image.pk),
            "page_url": self._link("image", image.pk),
            "status": image.status,
            "filename": image.filename,
            "patient": image.patient.identifier if image.patient else None,
            "age": round(image.age, 2) if image.age is not None else None,
            "view": image.view or None,
            "comment": image.comment or None,
            "department": image.department.slug if image.department else None,
            "priority": image.priority,
            "source": image.source,
            "study": self._link("api-study", image.study_id) if image.study_id else None,
            **result_fields(result),
            "reviewed": image.reviewed,
            "probability_normal": result.probabilities.get("NORMAL") if result else None,
            "model": result.bundle if result else None,
            "error": {"code": image.error_code, "detail": image.error_detail} if image.error_code else None,
            "attempts": reading.attempts if reading else image.attempts,
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
            "created_at": moment(image.created_at),
            "finished_at": moment(image.finished_at),
            "waits_until": moment(reading.waits_until) if reading else None,
            "timings": {
                "ingest_wait_s": _seconds(image.created_at, image.ingest_started_at),
                "ingest_s": _seconds(image.ingest_started_at, reading.ready_at) if reading else None,
                "infer_wait_s": _seconds(reading.ready_at, reading.claimed_at) if reading else None,
                "infer_s": round(result.seconds, 4) if result and result.seconds is not None else None,
                "total_s": _seconds(image.created_at, image.finished_at),
                "batch_size": result.batch_size if result else None,
            },
            "preview_url": self._link("api-image-preview", image.pk) if image.preview else None,
            "input_url": self._link("api-image-input", image.pk) if reading and reading.input else None,
            "heatmap_url": self._link("api-image-heatmap", image.pk) if result and result.heatmap else None,
            "readings": [reading_fields(one) for one in readings],
            **final_fields(image),
        }

    def _link(self, name: str, pk: UUID) -> str:
        return link(self.context, name, pk)


class DuplicateSerializer(serializers.Serializer):
    """An image with the same content that was sent before."""

    id = serializers.UUIDField()
    url = serializers.URLField()
    page_url = serializers.URLField()
    status = serializers.ChoiceField(choices=Status.choices)
    created_at = serializers.DateTimeField()


class AcceptedImageSerializer(ImageSerializer):
    """The response to an upload. For a guest it has the token that gives access to the image."""

    duplicates = DuplicateSerializer(many=True, read_only=True)
    token = serializers.CharField(required=False)

    class Meta(ImageSerializer.Meta):
        fields = (*ImageSerializer.Meta.fields, "duplicates", "token")

    def to_representation(self, image: Image) -> dict[str, Any]:
        earlier = Image.objects.sent_before(image).only("status", "created_at")[:DUPLICATES]
        return {**super().to_representation(image), "duplicates": [self._duplicate(other) for other in earlier]}

    def _duplicate(self, image: Image) -> dict[str, Any]:
        return {
            "id": str(image.pk),
            "url": self._link("api-image", image.pk),
            "page_url": self._link("image", image.pk),
            "status": image.status,
            "created_at": moment(image.created_at),
        }


class PredictionAnswerSerializer(serializers.Serializer):
    prediction = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), help_text="[[normal, pneumonia]]"
    )
    label: Any = serializers.CharField(allow_null=True)
    probability = serializers.FloatField()
    threshold = serializers.FloatField()
    operating_point = serializers.CharField(allow_null=True)
    result_group = serializers.ChoiceField(choices=ResultGroup.choices)
    reliable = serializers.BooleanField()
    model = serializers.CharField()
    warnings = ErrorSerializer(many=True)
    id = serializers.UUIDField()
    url = serializers.URLField()
    token = serializers.CharField(required=False, help_text="a guest's token, which gives access to the URL")
