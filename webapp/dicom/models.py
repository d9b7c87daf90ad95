"""What is kept of DICOM files in the database, no more than is needed to find them and to refer to them; and who may
send them.
"""

from ipaddress import IPv6Address, ip_address, ip_network

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from webapp.departments.models import Department
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


def check_network(text: str) -> None:
    """A validator."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValidationError("This is no address and no network, such as 10.1.2.3 or 10.1.2.0/24.") from None


class Peer(models.Model):
    """A scanner or PACS that may send images by DICOM, and the department that owns what it sends."""

    ae_title = models.CharField(
        max_length=16,
        unique=True,
        validators=[RegexValidator(r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$", "Only ASCII, without a backslash.")],
        verbose_name="AE title",
        help_text="as the sender calls itself, in the same upper and lower case",
    )
    network = models.CharField(
        max_length=43,
        blank=True,
        validators=[check_network],
        help_text="the address or network that it sends from; blank for any",
    )
    department = models.ForeignKey(Department, models.CASCADE, related_name="dicom_peers")
    stat = models.BooleanField(
        default=False, verbose_name="STAT", help_text="have all that it sends read before everything else"
    )
    active = models.BooleanField(default=True, help_text="whether it may send")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["ae_title"]

    def __str__(self) -> str:
        return self.ae_title

    def sends_from(self, address: str) -> bool:
        """Whether it may send from an address."""
        found = ip_address(address.partition("%")[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return not self.network or found in ip_network(self.network, strict=False)
