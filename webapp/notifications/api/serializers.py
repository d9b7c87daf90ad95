"""Serializers of webhooks and deliveries."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.http.serializers import TypedSerializer
from webapp.notifications.models import WEBHOOK_EVENTS, Webhook
from webapp.studies.api.serializers.results import moment
from webapp.studies.outbox.models import Delivery, State

#: Pattern of a webhook's URL for the OpenAPI document. :mod:`webapp.notifications.addresses` also checks the network.
PATTERN = r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,4})?(/[A-Za-z0-9/_.~%?&=+-]*)?$"


@extend_schema_field({"type": "string", "format": "webhook-url", "pattern": PATTERN, "maxLength": 500})
class URLField(serializers.CharField):
    """A URL that :mod:`webapp.notifications.addresses` checks."""


class WebhookSerializer(TypedSerializer, serializers.ModelSerializer):
    url = URLField(max_length=500)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=list(WEBHOOK_EVENTS.items())),
        required=False,
        help_text="by default `study.finished`",
    )

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            "id", "url", "events", "payload", "active", "created_at", "last_attempt_at", "last_outcome",
        )  # fmt: skip
        read_only_fields = ("id", "active", "created_at", "last_attempt_at", "last_outcome")


class NewWebhookSerializer(WebhookSerializer):
    """A new webhook with its secret."""

    secret = serializers.CharField(read_only=True, help_text="signs what is sent; it is shown only now")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")


class AttemptSerializer(serializers.Serializer):
    """One attempt to deliver something."""

    at = serializers.DateTimeField(help_text="when it began")
    outcome = serializers.CharField(help_text="what the receiver answered, or why it did not arrive")
    seconds = serializers.FloatField(allow_null=True, help_text="null where the process that was sending it died")


class DeliverySerializer(serializers.ModelSerializer):
    """The delivery of an event to one receiver."""

    event = serializers.CharField(source="payload.event")
    event_id = serializers.UUIDField(
        source="payload.event_id", allow_null=True, default=None, help_text="its webhook-id; null for an e-mail"
    )
    state = serializers.ChoiceField(choices=State.choices)
    next_attempt_at: Any = serializers.SerializerMethodField()
    attempts = AttemptSerializer(source="attempts_made", many=True, help_text="the oldest first, at most the last 50")

    class Meta:
        model = Delivery
        fields = ("id", "event", "event_id", "state", "attempts", "next_attempt_at", "created_at", "delivered_at")

    @extend_schema_field(serializers.DateTimeField(allow_null=True, help_text="null unless it waits"))
    def get_next_attempt_at(self, delivery: Delivery) -> Any:
        return moment(delivery.next_attempt_at) if delivery.state == State.WAITING else None


class SentEventSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="the event's id, which is its webhook-id")
