"""The systems to which a department's results are sent, and their storage commitments."""

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from webapp.departments.models import Department
from webapp.notifications import addresses
from webapp.refusals import Refused
from webapp.studies.outbox.models import Delivery

#: The characters that PS3.5 allows in an AE title, without spaces at its ends.
AE_TITLE: Any = {
    "max_length": 16,
    "validators": [RegexValidator(r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$", _("Only ASCII, without a backslash."))],
}
#: A host name or address. Private addresses are allowed, unlike for webhooks, because PACS have private addresses.
HOST: Any = {
    "max_length": 255,
    "blank": True,
    "validators": [RegexValidator(r"^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?$", _("A name or an IP address."))],
}
PORTS: Any = (MinValueValidator(1), MaxValueValidator(65535))


class Sends(models.TextChoices):
    """The objects of each result that a destination gets. The rejection of earlier objects is sent with either."""

    BOTH = "both", _("Report and picture")
    REPORT = "report", _("Report")
    PICTURE = "picture", _("Picture")
    NOTHING = "nothing", _("Nothing")


class Retrieves(models.TextChoices):
    """Whether a PACS may be searched, and how it sends the chosen images."""

    NO = "no", _("No")
    GET = "get", _("Yes, images by C-GET")
    MOVE = "move", _("Yes, images by C-MOVE")


class Protocol(models.TextChoices):
    """The protocol by which a destination gets results."""

    DIMSE = "dimse", _("DICOM (C-STORE)")
    STOW = "stow", _("DICOMweb (STOW-RS)")


class SignIn(models.TextChoices):
    """How we authenticate to a DICOMweb server."""

    NONE = "none", _("Not at all")
    BASIC = "basic", _("With a user name and a password")
    BEARER = "bearer", _("By a token")
    HEADER = "header", _("By a header")


class Destination(models.Model):
    """A PACS or viewer that gets the results of a department's DICOM images, or is searched for earlier ones."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    department = models.ForeignKey(Department, models.CASCADE, related_name="destinations")
    name = models.CharField(max_length=100)
    protocol = models.CharField(max_length=10, choices=Protocol, default=Protocol.DIMSE, db_default=Protocol.DIMSE)
    host = models.CharField(**HOST)
    port = models.PositiveIntegerField(default=104, validators=PORTS)
    called_ae = models.CharField(**AE_TITLE, blank=True, help_text="AE title that the destination is called by")
    calling_ae = models.CharField(**AE_TITLE, default="PNEUMOQUEUE", help_text="AE title that we call ourselves")
    tls = models.BooleanField(default=False)
    commitment = models.BooleanField(
        default=False, db_default=False, help_text="whether it is asked to commit itself to keep what it got"
    )
    url = models.CharField(
        max_length=500, blank=True, default="", db_default="", help_text="of its DICOMweb, without /studies"
    )
    sign_in = models.CharField(max_length=10, choices=SignIn, default=SignIn.NONE, db_default=SignIn.NONE)
    sign_in_name = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[!-9;-~]+$", _("Only ASCII, without blanks and colons."))],
        help_text="the user's or the header's name",
    )
    sealed_secret = models.TextField(blank=True, default="", db_default="", editable=False)
    sends = models.CharField(max_length=10, choices=Sends, default=Sends.BOTH)
    retrieves = models.CharField(max_length=10, choices=Retrieves, default=Retrieves.NO, db_default=Retrieves.NO)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_outcome = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def may_be_searched(self) -> bool:
        """Whether users may search it and fetch images from it."""
        return self.enabled and self.retrieves != Retrieves.NO

    def clean(self) -> None:
        """Check what depends on the protocol.

        Raises:
            ValidationError: a value is missing, or the protocol does not support an option.
        """
        by_web = self.protocol == Protocol.STOW
        needed = ["url"] if by_web else ["host", "called_ae"]
        if self.sign_in in (SignIn.BASIC, SignIn.HEADER):
            needed.append("sign_in_name")
        errors: dict[str, Any] = {name: _("Please enter this.") for name in needed if not getattr(self, name)}
        if not addresses.is_host(self.host):
            errors["host"] = _("A name or an IP address.")
        if by_web and self.url:
            try:
                addresses.check_url(self.url)
            except Refused as refused:
                errors["url"] = refused.detail
        if by_web and self.retrieves != Retrieves.NO:
            errors["retrieves"] = _("Only a DICOM destination can be searched.")
        if by_web and self.commitment:
            errors["commitment"] = _("Only a DICOM destination can be asked for storage commitment.")
        if errors:
            raise ValidationError(errors)


class Commitment(models.Model):
    """A request for storage commitment (PS3.4 J) to a destination, and its answer."""

    transaction_uid = models.CharField(primary_key=True, max_length=64)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="commitments", help_text="what it got")
    asked_at = models.DateTimeField(auto_now_add=True)
    committed = models.BooleanField(null=True, help_text="null as long as it has not answered")

    def __str__(self) -> str:
        return f"{self.delivery_id}: {self.committed}"
