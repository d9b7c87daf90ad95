"""The URLs of DICOMweb, as PS3.18 defines them, without a slash at the end."""

from django.urls import path, register_converter

from webapp.dicom.web import retrieving, views
from webapp.dicom.web.attributes import INSTANCE, SERIES
from webapp.dicom.web.matching import UID


class UidConverter:
    regex = UID

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class TagConverter(UidConverter):
    regex = "[0-9A-Fa-f]{8}"


class FramesConverter(UidConverter):
    regex = "[0-9]{1,6}(?:,[0-9]{1,6}){0,999}"


register_converter(UidConverter, "uid")
register_converter(TagConverter, "tag")
register_converter(FramesConverter, "frames")

STUDY_URL = "studies/<uid:study>"
SERIES_URL = f"{STUDY_URL}/series/<uid:series>"
INSTANCE_URL = f"{SERIES_URL}/instances/<uid:instance>"

urlpatterns = [
    path("studies", views.Studies.as_view(), name="dicomweb-studies"),
    path("series", views.Search.as_view(level=SERIES), name="dicomweb-all-series"),
    path("instances", views.Search.as_view(level=INSTANCE), name="dicomweb-all-instances"),
    path(STUDY_URL, views.Study.as_view(), name="dicomweb-study"),
    path(f"{STUDY_URL}/metadata", retrieving.Metadata.as_view(), name="dicomweb-study-metadata"),
    path(f"{STUDY_URL}/series", views.Search.as_view(level=SERIES), name="dicomweb-study-series"),
    path(f"{STUDY_URL}/instances", views.Search.as_view(level=INSTANCE), name="dicomweb-study-instances"),
    path(SERIES_URL, retrieving.Retrieve.as_view(), name="dicomweb-series"),
    path(f"{SERIES_URL}/metadata", retrieving.Metadata.as_view(), name="dicomweb-series-metadata"),
    path(f"{SERIES_URL}/instances", views.Search.as_view(level=INSTANCE), name="dicomweb-series-instances"),
    path(INSTANCE_URL, retrieving.Instance.as_view(), name="dicomweb-instance"),
    path(f"{INSTANCE_URL}/metadata", retrieving.Metadata.as_view(), name="dicomweb-instance-metadata"),
    path(f"{INSTANCE_URL}/rendered", retrieving.Rendered.as_view(), name="dicomweb-rendered"),
    path(f"{INSTANCE_URL}/frames/<frames:numbers>", retrieving.Frames.as_view(), name="dicomweb-frames"),
    path(f"{INSTANCE_URL}/bulkdata/<tag:tag>", retrieving.BulkData.as_view(), name="dicomweb-bulkdata"),
]
