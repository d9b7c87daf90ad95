"""Studies, their progress, and patients."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from webapp.http.links import LinkField, link
from webapp.studies.api.serializers.results import ArchiveErrorSerializer, moment
from webapp.studies.models import Patient, Study
from webapp.studies.progress import STATUSES, Progress, current_progress, progress_by_study


class StudyListSerializer(serializers.ListSerializer):
    """A page of studies, with two queries for the progress of all of them."""

    def to_representation(self, data: Any) -> Any:
        studies = list(data)
        progress = progress_by_study(studies)
        for study in studies:
            study.progress = progress[study.pk]
        return super().to_representation(studies)


class NamesSerializer(serializers.Serializer):
    """A number of files or rows, and the names of the first ones."""

    count = serializers.IntegerField()
    names = serializers.ListField(child=serializers.CharField())


class ManifestSerializer(serializers.Serializer):
    """The report on a study's manifests."""

    rows = serializers.IntegerField(help_text="the rows in all manifests that could be read")
    files = serializers.IntegerField(help_text="the files with a row")
    rows_without_file = NamesSerializer()
    files_without_row = NamesSerializer()
    warnings: Any = ArchiveErrorSerializer(many=True)
    errors: Any = ArchiveErrorSerializer(many=True, help_text="the errors of manifests that could not be read")


class StudySerializer(serializers.ModelSerializer):
    """A study and its progress."""

    url = LinkField("api-study")
    page_url = LinkField("study")
    patient = serializers.CharField(source="patient.identifier", allow_null=True, default=None)
    department = serializers.CharField(source="department.slug", allow_null=True, default=None)
    images_url = LinkField("api-study-images")
    results_url = LinkField("api-study-results")
    status = serializers.ChoiceField(choices=STATUSES)
    total = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField())
    eta_seconds = serializers.FloatField(allow_null=True, help_text="null in lists, and if it cannot be estimated")
    waits_until = serializers.DateTimeField(
        allow_null=True, help_text="when its department's night begins; some of its images are not read before that"
    )
    errors: Any = ArchiveErrorSerializer(many=True)
    manifest = ManifestSerializer(read_only=True, allow_null=True)
    open = serializers.BooleanField(help_text="whether more files may come; it does not finish before it is closed")

    class Meta:
        model = Study
        list_serializer_class = StudyListSerializer
        fields: tuple[str, ...] = (
            "id", "url", "page_url", "name", "patient", "department", "source", "status", "total", "counts",
            "eta_seconds", "waits_until", "errors", "manifest", "images_url", "results_url", "created_at", "stat",
            "open",
        )  # fmt: skip

    def to_representation(self, study: Study) -> dict[str, Any]:
        """Return the fields without REST Framework, as for images."""
        progress: Progress = getattr(study, "progress", None) or current_progress(study)
        return {
            "id": str(study.pk),
            "url": link(self.context, "api-study", study.pk),
            "page_url": link(self.context, "study", study.pk),
            "name": study.name,
            "patient": study.patient.identifier if study.patient else None,
            "department": study.department.slug if study.department else None,
            "source": study.source,
            "status": progress.status,
            "total": progress.total,
            "counts": progress.counts,
            "eta_seconds": progress.eta_seconds,
            "waits_until": moment(progress.waits_until),
            "errors": ArchiveErrorSerializer(progress.errors, many=True).data if progress.errors else [],
            "manifest": ManifestSerializer(study.manifest).data if study.manifest is not None else None,
            "images_url": link(self.context, "api-study-images", study.pk),
            "results_url": link(self.context, "api-study-results", study.pk),
            "created_at": moment(study.created_at),
            "stat": study.stat,
            "open": progress.open,
        }


class PatientSerializer(serializers.ModelSerializer):
    """A patient, as the uploader has named them."""

    url = LinkField("api-patient")
    page_url = LinkField("patient")
    department = serializers.CharField(source="department.slug", allow_null=True, default=None)
    images_url = serializers.SerializerMethodField()

    class Meta:
        model = Patient
        fields: tuple[str, ...] = (
            "id", "url", "page_url", "identifier", "name", "birth_date", "sex", "department", "images_url",
            "created_at",
        )  # fmt: skip

    def get_images_url(self, patient: Patient) -> str:
        return f"{reverse('api-images', request=self.context.get('request'))}?patient={patient.pk}"


class AcceptedPatientSerializer(PatientSerializer):
    """A patient who was created. For a guest the response has the token that gives access to them."""

    token = serializers.CharField(required=False)

    class Meta(PatientSerializer.Meta):
        fields = (*PatientSerializer.Meta.fields, "token")


class SentBeforeSerializer(serializers.Serializer):
    """A file whose content the same owner has sent before."""

    filename = serializers.CharField()
    url = serializers.URLField(help_text="of the earlier image")
    page_url = serializers.URLField()


class AcceptedStudySerializer(StudySerializer):
    token = serializers.CharField(required=False)
    skipped: Any = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="names of skipped files, if any, which operating systems create, such as Thumbs.db",
    )
    refused: Any = ArchiveErrorSerializer(
        many=True, required=False, help_text="files of this upload, if any, that cannot be read, without those in ZIPs"
    )
    duplicates = serializers.SerializerMethodField(
        help_text="files of this upload that were sent before, without those in ZIPs"
    )

    class Meta(StudySerializer.Meta):
        fields = (*StudySerializer.Meta.fields, "token", "skipped", "refused", "duplicates")

    @extend_schema_field(SentBeforeSerializer(many=True))
    def get_duplicates(self, study: Study) -> list[dict[str, str]]:
        return [
            {"filename": name, "url": link(self.context, "api-image", pk), "page_url": link(self.context, "image", pk)}
            for name, pk in study.duplicates
        ]

    def to_representation(self, study: Study) -> dict[str, Any]:
        data = super().to_representation(study)
        if study.skipped:
            data["skipped"] = study.skipped
        if study.refused:
            data["refused"] = ArchiveErrorSerializer(study.refused, many=True).data
        return {**data, "duplicates": self.get_duplicates(study)}
