"""Admin pages on which administrators create departments and choose their members."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.departments import models


class MembershipInline(admin.TabularInline):
    model = models.Membership
    fields = ("user", "role")
    raw_id_fields = ("user",)
    extra = 1


@admin.register(models.Department)
class DepartmentAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "operating_point", "retention_days", "created_at")
    search_fields = ("name", "slug")
    # The other settings are changed on the department's own page, which knows the current model.
    fields = ("name", "slug")
    inlines = (MembershipInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: departments are deleted on their own page, which also deletes their rows and files."""
        return False
