"""Reviews, to be read: a verdict is changed by whoever gave it."""

from django.contrib import admin

from webapp.reviews import models
from webapp.studies.admin import ReadOnly


@admin.register(models.Review)
class ReviewAdmin(ReadOnly):
    list_display = ("image", "verdict", "reviewer", "updated_at")
    list_filter = ("verdict", "reviewer")
    search_fields = ("image__id", "image__filename", "comment")
