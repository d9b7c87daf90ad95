"""Read-only admin pages of the reports of the purge."""

from django.contrib import admin

from webapp.retention.models import PurgeReport
from webapp.studies.admin import ReadOnly


@admin.register(PurgeReport)
class PurgeReportAdmin(ReadOnly):
    list_display = ("started_at", "finished_at", "complete", "__str__")
    ordering = ("-started_at",)
