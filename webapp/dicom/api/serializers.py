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
    """What is said of a destination; all but the first three have a default."""

    tls = FlagField(default=False, help_text="whether the connection is encrypted; plain DICOM without it")
    enabled = FlagField(default=True, help_text="whether it gets anything")

    class Meta:
        model = Destination
        fields = FIELDS


class DestinationDeliverySerializer(DeliverySerializer):
    """A result, or a test, on its way to a destination."""

    image = serializers.UUIDField(source="payload.image", allow_null=True, default=None, help_text="null for a test")

    class Meta:
        model = Delivery
        fields = ("id", "event", "image", "state", "attempts", "next_attempt_at", "created_at", "delivered_at")
