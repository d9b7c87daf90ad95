"""Webhooks as JSON."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.http.serializers import TypedSerializer
from webapp.notifications.models import Event, Webhook

#: As :mod:`webapp.notifications.addresses` has them, which also looks at the network.
PATTERN = r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,4})?(/[A-Za-z0-9/_.~%?&=+-]*)?$"


@extend_schema_field({"type": "string", "format": "webhook-url", "pattern": PATTERN, "maxLength": 500})
class URLField(serializers.CharField):
    """A URL that :mod:`webapp.notifications.addresses` checks."""


class WebhookSerializer(TypedSerializer, serializers.ModelSerializer):
    url = URLField(max_length=500)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices), required=False, help_text="by default `study.finished`"
    )

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            "id", "url", "events", "active", "created_at", "last_attempt_at", "last_outcome",
        )  # fmt: skip
        read_only_fields = ("id", "active", "created_at", "last_attempt_at", "last_outcome")


class NewWebhookSerializer(WebhookSerializer):
    """The answer to the one who adds it, with the secret."""

    secret = serializers.CharField(read_only=True, help_text="signs what is sent; it is shown only now")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")


class SentEventSerializer(serializers.Serializer):
    id = serializers.UUIDField(help_text="the event's id, which is its webhook-id")
