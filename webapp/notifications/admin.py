"""Admin pages of webhooks."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from webapp.accounts.identity import identify
from webapp.notifications import addresses, sealing, services
from webapp.notifications.models import WEBHOOK_EVENTS, Webhook
from webapp.refusals import Refused


class WebhookForm(forms.ModelForm):
    user = forms.ModelChoiceField(
        User.objects.order_by("username"), required=False, help_text="gets events of what they have sent"
    )
    events = forms.MultipleChoiceField(choices=list(WEBHOOK_EVENTS.items()), initial=list(WEBHOOK_EVENTS))

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
    list_select_related = ("user", "department")
    readonly_fields = ("last_attempt_at", "last_outcome")
    #: :func:`webapp.notifications.services.delete_webhook` records them.
    deletions_are_recorded = True

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        services.delete_webhook(identify(request), obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Webhook]") -> None:
        for webhook in queryset:
            self.delete_model(request, webhook)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            secret = sealing.new_secret()
            obj.sealed_secret = sealing.seal(secret)
            messages.warning(request, _("The secret, which is shown only once: %(secret)s") % {"secret": secret})
        super().save_model(request, obj, form, change)
