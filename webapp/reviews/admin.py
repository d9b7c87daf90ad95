"""Reviews, read-only: only its author changes a verdict, and it is deleted only with its image."""

from django.contrib import admin

from webapp.reviews import models
from webapp.studies.admin import ReadOnly


@admin.register(models.Review)
class ReviewAdmin(ReadOnly):
    list_display = ("image", "verdict", "reviewer", "updated_at")
    list_select_related = ("image", "reviewer")
    list_filter = ("verdict",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("=reviewer__username",)
