"""The API's JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from webapp.studies.models import Image, Priority, Status, Study
from webapp.studies.progress import STATUSES, Progress, of_study


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class ArchiveErrorSerializer(ErrorSerializer):
    """Why none, or not all, of a ZIP's files became images."""

    filename = serializers.CharField()


class TimingsSerializer(serializers.Serializer):
    """Seconds spent in each step; null where it has not been reached."""

    ingest_wait_s = serializers.FloatField(allow_null=True)
    ingest_s = serializers.FloatField(allow_null=True)
    infer_wait_s = serializers.FloatField(allow_null=True)
    infer_s = serializers.FloatField(allow_null=True)
    total_s = serializers.FloatField(allow_null=True)
    batch_size = serializers.IntegerField(allow_null=True)


class UploadSerializer(serializers.Serializer):
    file = serializers.FileField(allow_empty_file=True)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, default=Priority.INTERACTIVE)


class StudyUploadSerializer(serializers.Serializer):
    files = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False)
    patient = serializers.CharField(required=False, max_length=128, default="", allow_blank=True)
    name = serializers.CharField(required=False, max_length=255, default="", allow_blank=True)


class PredictSerializer(serializers.Serializer):
    image = serializers.CharField(help_text="a JPEG or PNG in base64, with or without a data: prefix")


class PredictionAnswerSerializer(serializers.Serializer):
    prediction = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), help_text="[[normal, pneumonia]]"
    )
    label: Any = serializers.CharField()
    probability = serializers.FloatField()
    threshold = serializers.FloatField()
    model = serializers.CharField()
    warnings = ErrorSerializer(many=True)
    id = serializers.UUIDField()
    url = serializers.URLField()
    token = serializers.CharField(required=False, help_text="a guest's, which gives access to the URL")


def _seconds(start: Any, end: Any) -> float | None:
    return round((end - start).total_seconds(), 4) if start and end else None


class ImageSerializer(serializers.ModelSerializer):
    """An image and, once it has been read, its result."""

    url = serializers.HyperlinkedIdentityField("api-image")
    page_url = serializers.HyperlinkedIdentityField("image", lookup_field="pk")
    study: Any = serializers.HyperlinkedRelatedField("api-study", read_only=True)
    patient = serializers.CharField(source="patient.identifier", allow_null=True, default=None)
    status = serializers.ChoiceField(choices=Status.choices)
    label: Any = serializers.CharField(source="prediction.label", allow_null=True, default=None)
    probability = serializers.FloatField(source="prediction.pneumonia", allow_null=True, default=None)
    probability_normal = serializers.FloatField(source="prediction.normal", allow_null=True, default=None)
    threshold = serializers.FloatField(source="prediction.threshold", allow_null=True, default=None)
    model = serializers.CharField(source="prediction.model", allow_null=True, default=None)
    warnings = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    timings = serializers.SerializerMethodField()
    preview_url = serializers.SerializerMethodField()
    input_url = serializers.SerializerMethodField()
    heatmap_url = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields: tuple[str, ...] = (
            "id", "url", "page_url", "status", "filename", "patient", "priority", "study", "label", "probability",
            "probability_normal", "threshold", "model", "warnings", "error", "attempts", "width", "height", "sha256",
            "created_at", "finished_at", "timings", "preview_url", "input_url",
            "heatmap_url",
        )  # fmt: skip

    @extend_schema_field(ErrorSerializer(many=True))
    def get_warnings(self, image: Image) -> list[dict[str, str]]:
        return image.prediction.warnings if hasattr(image, "prediction") else []

    @extend_schema_field(ErrorSerializer(allow_null=True))
    def get_error(self, image: Image) -> dict[str, str] | None:
        return {"code": image.error_code, "detail": image.error_detail} if image.error_code else None

    @extend_schema_field(TimingsSerializer)
    def get_timings(self, image: Image) -> dict[str, float | int | None]:
        read = hasattr(image, "prediction")
        return {
            "ingest_wait_s": _seconds(image.created_at, image.ingest_started_at),
            "ingest_s": _seconds(image.ingest_started_at, image.ready_at),
            "infer_wait_s": _seconds(image.ready_at, image.claimed_at),
            "infer_s": round(image.prediction.seconds, 4) if read else None,
            "total_s": _seconds(image.created_at, image.finished_at),
            "batch_size": image.prediction.batch_size if read else None,
        }

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_preview_url(self, image: Image) -> str | None:
        return self._file("api-image-preview", image) if image.preview else None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_input_url(self, image: Image) -> str | None:
        return self._file("api-image-input", image) if image.input else None

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_heatmap_url(self, image: Image) -> str | None:
        has_one = hasattr(image, "prediction") and image.prediction.heatmap
        return self._file("api-image-heatmap", image) if has_one else None

    def _file(self, name: str, image: Image) -> str:
        return reverse(name, args=[image.pk], request=self.context.get("request"))


class AcceptedImageSerializer(ImageSerializer):
    """The answer to an upload. A guest's carries the token that gives access to it."""

    token = serializers.CharField(required=False)

    class Meta(ImageSerializer.Meta):
        fields = (*ImageSerializer.Meta.fields, "token")


class StudySerializer(serializers.ModelSerializer):
    """A study and its progress."""

    url = serializers.HyperlinkedIdentityField("api-study")
    page_url = serializers.HyperlinkedIdentityField("study", lookup_field="pk")
    patient = serializers.CharField(source="patient.identifier", allow_null=True, default=None)
    images_url = serializers.HyperlinkedIdentityField("api-study-images")
    results_url = serializers.HyperlinkedIdentityField("api-study-results")
    status = serializers.ChoiceField(choices=STATUSES)
    total = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    eta_seconds = serializers.FloatField(allow_null=True)
    errors: Any = ArchiveErrorSerializer(many=True)

    class Meta:
        model = Study
        fields: tuple[str, ...] = (
            "id", "url", "page_url", "name", "patient", "status", "total", "counts", "eta_seconds", "errors",
            "images_url", "results_url", "created_at",
        )  # fmt: skip

    def to_representation(self, study: Study) -> dict[str, Any]:
        progress: Progress = of_study(study)
        for name in ("status", "total", "counts", "eta_seconds", "errors"):
            setattr(study, name, getattr(progress, name))
        return super().to_representation(study)


class AcceptedStudySerializer(StudySerializer):
    token = serializers.CharField(required=False)

    class Meta(StudySerializer.Meta):
        fields = (*StudySerializer.Meta.fields, "token")
