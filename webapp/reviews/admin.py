"""Read-only admin pages of reviews. Only its author can change a verdict, and it is deleted only with its image."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.reviews import models
from webapp.studies.admin import ReadOnly
from webapp.studies.choices import ReviewStage


@admin.register(models.Review)
class ReviewAdmin(ReadOnly):
    list_display = ("image", "verdict", "reviewer", "updated_at")
    list_select_related = ("image", "reviewer")
    list_filter = ("verdict",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("=reviewer__username",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """All reviews except those that a second reader must not see yet."""
        return super().get_queryset(request).exclude(image__stage=ReviewStage.SECOND)
