"""The API's JSON."""

from webapp.studies.api.serializers.images import (
    AcceptedImageSerializer,
    DuplicateSerializer,
    ImageSerializer,
    PredictionAnswerSerializer,
    TimingsSerializer,
)
from webapp.studies.api.serializers.requests import (
    ImageChangesSerializer,
    MergeSerializer,
    MoreFilesSerializer,
    NewPatientSerializer,
    PatientFieldsSerializer,
    PredictSerializer,
    StudyChangesSerializer,
    StudyUploadSerializer,
    UploadSerializer,
)
from webapp.studies.api.serializers.results import (
    ArchiveErrorSerializer,
    ErrorSerializer,
    ReadingSerializer,
    result_fields,
)
from webapp.studies.api.serializers.studies import (
    AcceptedPatientSerializer,
    AcceptedStudySerializer,
    PatientSerializer,
    StudyListSerializer,
    StudySerializer,
)

__all__ = [
    "AcceptedImageSerializer",
    "AcceptedPatientSerializer",
    "AcceptedStudySerializer",
    "ArchiveErrorSerializer",
    "DuplicateSerializer",
    "ErrorSerializer",
    "ImageChangesSerializer",
    "ImageSerializer",
    "MergeSerializer",
    "MoreFilesSerializer",
    "NewPatientSerializer",
    "PatientFieldsSerializer",
    "PatientSerializer",
    "PredictSerializer",
    "PredictionAnswerSerializer",
    "ReadingSerializer",
    "StudyChangesSerializer",
    "StudyListSerializer",
    "StudySerializer",
    "StudyUploadSerializer",
    "TimingsSerializer",
    "UploadSerializer",
    "result_fields",
]
