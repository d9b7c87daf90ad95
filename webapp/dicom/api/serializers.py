"""Destinations as JSON."""

from typing import Any

from rest_framework import serializers

from webapp.dicom.models import Destination
from webapp.dicom.services.destinations import FIELDS
from webapp.http.serializers import FlagField, StrictSerializer
from webapp.notifications.api.serializers import DeliverySerializer
from webapp.studies.outbox.models import Delivery


class DestinationSerializer(serializers.ModelSerializer):
    department: Any = serializers.SlugRelatedField("slug", read_only=True)

    class Meta:
        model = Destination
        fields = ("id", "department", *FIELDS, "created_at", "last_attempt_at", "last_outcome")


class NewDestinationSerializer(StrictSerializer, serializers.ModelSerializer):
    """The settings of a destination. DICOM needs a host and its AE title, DICOMweb needs a URL."""

    secret = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, write_only=True,
        help_text="the password, token or value of the header; it has to be given again with another URL",
    )  # fmt: skip
    commitment = FlagField(default=False, help_text="whether it is asked for storage commitment")
    tls = FlagField(default=False, help_text="whether the connection is encrypted; plain DICOM without it")
    enabled = FlagField(default=True, help_text="whether anything is sent to it")

    class Meta:
        model = Destination
        fields = (*FIELDS, "secret")


class DestinationDeliverySerializer(DeliverySerializer):
    """A result, or a test, on its way to a destination."""

    image = serializers.UUIDField(source="payload.image", allow_null=True, default=None, help_text="null for a test")
    committed = serializers.BooleanField(
        allow_null=True, read_only=True, help_text="whether the destination stores it; null until it has answered"
    )

    class Meta:
        model = Delivery
        fields = (
            "id",
            "event",
            "image",
            "state",
            "committed",
            "attempts",
            "next_attempt_at",
            "created_at",
            "delivered_at",
        )
