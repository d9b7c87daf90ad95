"""The list of DICOM objects of results. A worker makes an object's file when someone requests it."""

from django.db import models

from webapp.studies.models import Image


class ResultObject(models.Model):
    """An object made from a revision of a result, in its own series."""

    revision = models.ForeignKey("dicom.Revision", models.CASCADE, related_name="made")
    image = models.ForeignKey(Image, models.CASCADE, related_name="result_objects", help_text="the revision's")
    study_uid = models.CharField(max_length=64, help_text="Study Instance UID of the image's file")
    series_uid = models.CharField(max_length=64, help_text="Series Instance UID")
    instance_uid = models.CharField(max_length=64, help_text="SOP Instance UID")
    class_uid = models.CharField(max_length=64, help_text="SOP Class UID")
    modality = models.CharField(max_length=16)
    series_number = models.IntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["study_uid", "series_uid", "instance_uid"], name="dicom_result_uids"),
            models.Index(fields=["series_uid"], name="dicom_result_series"),
            models.Index(fields=["instance_uid"], name="dicom_result_instance"),
        ]

    def __str__(self) -> str:
        return f"{self.modality} {self.instance_uid}"
