"""The administrators' view of the domain. Rows are changed by the services only, so nothing here can be edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.studies import models


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


@admin.register(models.Prediction)
class PredictionAdmin(ReadOnly):
    exclude = ("heatmap",)
    list_display = ("image", "label", "pneumonia", "threshold", "model", "batch_size", "created_at")
    list_filter = ("label", "model")
