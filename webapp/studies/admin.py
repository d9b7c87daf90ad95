"""The administrators' view of the domain. Only services change rows, so nothing can be edited here. Deleting a row here
deletes its files as well.
"""

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import capfirst

from webapp.accounts.identity import identify
from webapp.studies import models
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.search_results import latest_matches
from webapp.studies.services import deletion


class BoundedPaginator(Paginator):
    """A paginator that never counts a million rows."""

    LIMIT = 2_500

    @cached_property
    def count(self) -> int:
        """The number of rows, or the limit if there are more. Search finds the older rows."""
        rows: Any = self.object_list
        return int(rows.order_by()[: self.LIMIT].count())


class ReadOnly(admin.ModelAdmin):
    paginator = BoundedPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Deletable(ReadOnly):
    """Deletes rows and everything that belongs to them through a service, after showing how many rows that is."""

    ordering = ("-created_at", "-id")
    #: The service records them.
    deletions_are_recorded = True
    # For any other column the database would sort the whole table.
    sortable_by = ("created_at",)
    search_help_text = "An id, or the beginning of a name or of a patient's identifier; the latest are shown"
    # Only shows the search field; get_search_results does the search.
    search_fields = ("id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_search_results(self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str) -> tuple[Any, bool]:
        text = search_term.strip()
        return (latest_matches(queryset, text) if text else queryset), False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, dict[str, int], set[Any], list[Any]]:
        """Return how many related rows are deleted, where Django would list each of a study's 5,000 images."""
        rows = list(objs)
        counts = deletion.count(rows)
        names = [f"{capfirst(str(row._meta.verbose_name))}: {row}" for row in rows]
        return names, {str(model._meta.verbose_name_plural): number for model, number in counts.items()}, set(), []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        deletion.DELETE[type(obj)](obj, identify(request))

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        for row in queryset:
            self.delete_model(request, row)


@admin.register(models.Image)
class ImageAdmin(Deletable):
    list_display = (
        "filename", "belongs_to", "status", "group", "priority", "attempts", "error_code", "created_at", "finished_at",
    )  # fmt: skip
    list_filter = ("status",)
    list_select_related = ("owner", "department")
    # Stored files have no URLs of their own. The image's page shows them to those who may see the image.
    exclude = ("file", "preview")
    readonly_fields = ("page",)

    @admin.display(description="owner")
    def belongs_to(self, image: models.Image) -> str:
        return str(image.department or image.owner or "a guest")

    @admin.display(description="page")
    def page(self, image: models.Image) -> str:
        return format_html('<a href="{}">{}</a>', image.get_absolute_url(), image.filename)


@admin.register(models.Study)
class StudyAdmin(Deletable):
    list_display = ("__str__", "owner", "created_at", "cancelled_at")
    list_select_related = ("owner",)


@admin.register(models.Patient)
class PatientAdmin(Deletable):
    list_display = ("identifier", "owner", "created_at")
    list_select_related = ("owner",)


@admin.register(models.Reading)
class ReadingAdmin(ReadOnly):
    exclude = ("heatmap", "input")
    readonly_fields = ("page",)
    list_display = ("image", "bundle", "shadow", "state", "group", "label", "probability", "batch_size", "finished_at")
    list_filter = ("state", "group", "shadow")
    list_select_related = ("image",)
    ordering = ("-pk",)
    sortable_by = ()
    search_fields = ("=image__id",)
    search_help_text = "An image's id"

    @admin.display(description="page of the image")
    def page(self, reading: models.Reading) -> str:
        return format_html('<a href="{}">{}</a>', reading.image.get_absolute_url(), reading.image.filename)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    """The outbox: waiting and dead deliveries, and an action that sends them again."""

    list_display = ("key", "kind", "state", "attempts", "last_error", "next_attempt_at", "created_at", "delivered_at")
    # No filter by kind: the database would read all rows to list the kinds.
    list_filter = ("state",)
    search_fields = ("=id", "=destination")
    ordering = ("state", "next_attempt_at")
    sortable_by = ()
    actions = ("send_again",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only a dead delivery can be deleted, which ends its alert. All others end by themselves."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj) and (obj is None or obj.state == State.DEAD)

    @admin.action(description="Send dead deliveries again")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = outbox.send_again(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{count} deliveries will be sent again.")
