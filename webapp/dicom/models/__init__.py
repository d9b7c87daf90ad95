"""Models for DICOM: the attributes of files that are needed to find and reference them, senders, results that were sent
to other systems, and these systems.
"""

import uuid
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department
from webapp.dicom.models.destinations import (
    AE_TITLE,
    HOST,
    PORTS,
    Commitment,
    Destination,
    Protocol,
    Retrieves,
    Sends,
    SignIn,
)
from webapp.dicom.models.results import ResultObject
from webapp.dicom.models.rules import Rule
from webapp.dicom.models.searches import Progress, Retrieval, Search
from webapp.notifications import addresses
from webapp.studies.choices import GROUP_BY_VERDICT, NOT_RELIABLE, PneumoniaKind, ResultGroup, Verdict
from webapp.studies.models import Image

__all__ = [
    "Commitment", "Destination", "Instance", "Peer", "Progress", "Protocol", "Refusal", "ResultObject", "Retrieval",
    "Retrieves", "Revision", "Rule", "Search", "Sends", "SignIn",
]  # fmt: skip


class Instance(models.Model):
    """The attributes of an image that came as a DICOM file.

    The patient's attributes are in :class:`webapp.studies.models.Patient`; all others stay in the file.
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
    series_description = models.CharField(max_length=64, blank=True, default="", db_default="")
    rows = models.IntegerField(null=True, blank=True)
    columns = models.IntegerField(null=True, blank=True)
    bits_allocated = models.IntegerField(null=True, blank=True)
    number_of_frames = models.IntegerField(null=True, blank=True)
    calling_ae = models.CharField(
        max_length=16, blank=True, help_text="AE title that sent it; empty where it was uploaded"
    )
    results_to = models.ForeignKey(
        "dicom.Destination",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="the only destination of its result, by a rule; without one, each of the department's",
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
    """Validate an address or network. Raises ValidationError."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValidationError("Please enter an address or a network, such as 10.1.2.3 or 10.1.2.0/24.") from None


class Refusal(models.TextChoices):
    """Why a sender with a known AE title may not send now."""

    OFF = "off", _("it is switched off")
    NETWORK = "network", _("it came from another address")
    CERTIFICATE = "certificate", _("it had no certificate with its name")


class Peer(models.Model):
    """A scanner or PACS that may send images by DICOM, and the department that owns what it sends."""

    ae_title = models.CharField(
        **AE_TITLE,
        unique=True,
        verbose_name="AE title",
        help_text="as the sender calls itself, in the same upper and lower case",
    )
    network = models.CharField(
        max_length=43,
        blank=True,
        validators=[check_network],
        help_text="the address or network that it sends from; blank for any",
    )
    certificate_name = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="the name that its TLS certificate has to have; blank where it needs none",
    )
    host = models.CharField(**HOST, default="", db_default="", help_text="where it takes connections itself")
    port = models.PositiveIntegerField(null=True, blank=True, validators=PORTS)
    tls = models.BooleanField(
        default=False, db_default=False, verbose_name="TLS", help_text="whether it wants TLS there"
    )
    department = models.ForeignKey(Department, models.CASCADE, related_name="dicom_peers")
    stat = models.BooleanField(
        default=False, verbose_name="STAT", help_text="have all that it sends read before everything else"
    )
    active = models.BooleanField(default=True, help_text="whether it may send")
    created_at = models.DateTimeField(auto_now_add=True)
    last_heard_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_refusal = models.CharField(
        max_length=11, choices=Refusal, blank=True, default="", db_default="", editable=False
    )

    last_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_outcome = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False, help_text="of what was sent to it"
    )

    class Meta:
        ordering = ["ae_title"]

    def __str__(self) -> str:
        return self.ae_title

    def clean(self) -> None:
        """Raises ValidationError if the host is not valid, or only one of host and port is given."""
        if not addresses.is_host(self.host):
            raise ValidationError({"host": _("A name or an IP address.")})
        if bool(self.host) != bool(self.port):
            raise ValidationError({"port" if self.host else "host": _("Please enter this.")})

    def sends_from(self, address: str) -> bool:
        """Whether the peer may send from an address."""
        sender = ip_address(address.partition("%")[0])
        if isinstance(sender, IPv6Address) and sender.ipv4_mapped:
            sender = sender.ipv4_mapped
        return not self.network or sender in ip_network(self.network, strict=False)


def service_version() -> str:
    return str(settings.VERSION)


class Revision(models.Model):
    """A result as it was sent to other systems: the first one of an image, and each one that supersedes it.

    It is never changed, so that the objects made from it under the same UIDs are always the same.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(
        Image, models.CASCADE, related_name="revisions", db_index=False
    )  # the constraint's index serves
    number = models.PositiveSmallIntegerField(help_text="1 for the first")
    made_at = models.DateTimeField(default=timezone.now)
    version = models.CharField(max_length=40, default=service_version, help_text="the service's")
    bundle = models.CharField(max_length=100)
    probability = models.FloatField(null=True, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    operating_point = models.CharField(max_length=100, blank=True)
    group = models.CharField(max_length=10, choices=ResultGroup, help_text="the model's")
    warnings = models.JSONField(default=list, blank=True, help_text="their codes")
    verdict = models.CharField(
        max_length=10, choices=Verdict, blank=True, help_text="of a reader, where it is the answer"
    )
    verdict_kind = models.CharField(max_length=10, choices=PneumoniaKind, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "number"], name="dicom_one_revision_a_number")]

    def __str__(self) -> str:
        return f"{self.image_id}, revision {self.number}"

    @property
    def is_reliable(self) -> bool:
        """Whether the model's result may be relied on."""
        return self.group != ResultGroup.UNUSABLE and not NOT_RELIABLE.intersection(self.warnings)

    @property
    def told_group(self) -> str:
        """The group that is reported: the verdict's if there is one, else the model's."""
        return str(GROUP_BY_VERDICT[Verdict(self.verdict)] if self.verdict else self.group)
