"""Webhooks as administrators see them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from webapp.notifications import addresses, sealing
from webapp.notifications.models import Event, Webhook
from webapp.refusals import Refused


class WebhookForm(forms.ModelForm):
    user = forms.ModelChoiceField(
        User.objects.order_by("username"), required=False, help_text="gets events of what they have sent"
    )
    events = forms.MultipleChoiceField(choices=Event.choices, initial=Event.values)

    class Meta:
        model = Webhook
        fields = ("user", "department", "url", "events", "active")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            addresses.check_url(url)
        except Refused as refusal:
            raise ValidationError(refusal.detail) from None
        return url


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):
    form = WebhookForm
    list_display = ("url", "user", "department", "active", "last_attempt_at", "last_outcome")
    list_filter = ("active",)
    readonly_fields = ("last_attempt_at", "last_outcome")

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            secret = sealing.new_secret()
            obj.sealed_secret = sealing.seal(secret)
            messages.warning(request, f"The secret, which is shown only now: {secret}")
        super().save_model(request, obj, form, change)
