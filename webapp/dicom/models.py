"""What is kept of DICOM files in the database: no more than is needed to find them and to refer to them."""

from django.db import models

from webapp.studies.models import Image


class Instance(models.Model):
    """The attributes of an image that came as a DICOM file.

    The patient's are in :class:`webapp.studies.models.Patient`; everything else stays in the file alone.
    """

    image = models.OneToOneField(Image, models.CASCADE, primary_key=True, related_name="instance")
    study_uid = models.CharField(max_length=64, help_text="Study Instance UID")
    series_uid = models.CharField(max_length=64, help_text="Series Instance UID")
    instance_uid = models.CharField(max_length=64, help_text="SOP Instance UID")
    class_uid = models.CharField(max_length=64, help_text="SOP Class UID")
    transfer_syntax = models.CharField(max_length=64, help_text="Transfer Syntax UID of the file as it came")
    modality = models.CharField(max_length=16, blank=True)
    body_part = models.CharField(max_length=16, blank=True, help_text="Body Part Examined")
    view_position = models.CharField(max_length=16, blank=True)
    study_date = models.DateField(null=True, blank=True)
    study_time = models.TimeField(null=True, blank=True)
    study_description = models.CharField(max_length=64, blank=True)
    accession_number = models.CharField(max_length=16, blank=True)
    series_number = models.IntegerField(null=True, blank=True)
    instance_number = models.IntegerField(null=True, blank=True)
    calling_ae = models.CharField(
        max_length=16, blank=True, help_text="AE title that sent it; empty where it was uploaded"
    )

    class Meta:
        indexes = [
            models.Index(fields=["study_uid", "series_uid", "instance_uid"], name="dicom_instance_uids"),
            models.Index(fields=["series_uid"], name="dicom_instance_series"),
            models.Index(fields=["instance_uid"], name="dicom_instance_instance"),
            models.Index(fields=["accession_number"], name="dicom_instance_accession"),
        ]

    def __str__(self) -> str:
        return self.instance_uid
