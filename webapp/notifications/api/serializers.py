"""Webhooks as JSON."""

from rest_framework import serializers

from webapp.notifications.models import Event, Webhook


class WebhookSerializer(serializers.ModelSerializer):
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices), required=False, help_text="by default all that there are"
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
