"""The administrators' view of the domain. Rows are changed by the services only, so nothing here can be edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.studies import models
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State


class ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Image)
class ImageAdmin(ReadOnly):
    list_display = ("filename", "status", "priority", "attempts", "error_code", "created_at", "finished_at")
    list_filter = ("status", "priority", "error_code")
    search_fields = ("id", "filename")
    date_hierarchy = "created_at"


@admin.register(models.Study)
class StudyAdmin(ReadOnly):
    list_display = ("__str__", "owner", "created_at", "cancelled_at")


@admin.register(models.Reading)
class ReadingAdmin(ReadOnly):
    exclude = ("heatmap",)
    list_display = ("image", "bundle", "shadow", "state", "group", "label", "probability", "batch_size", "finished_at")
    list_filter = ("state", "group", "shadow")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    """The outbox: what waits, what is dead, and the action that sends it again."""

    list_display = ("key", "kind", "state", "attempts", "last_error", "next_attempt_at", "created_at", "delivered_at")
    list_filter = ("state", "kind")
    search_fields = ("=id", "=destination")
    ordering = ("state", "next_attempt_at")
    # The number of all deliveries says nothing, and counting them costs more the older the service is.
    show_full_result_count = False
    actions = ("send_again",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A dead delivery can be deleted, which ends its alert; everything else takes care of itself."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.state == State.DEAD)

    @admin.action(description="Send dead deliveries again")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = outbox.send_again(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{count} deliveries will be sent again.")
