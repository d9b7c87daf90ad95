"""Administrators make departments and name their members."""

from django.contrib import admin

from webapp.departments import models


class MembershipInline(admin.TabularInline):
    model = models.Membership
    fields = ("user", "role")
    autocomplete_fields = ("user",)
    extra = 1


@admin.register(models.Department)
class DepartmentAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "operating_point", "retention_days", "created_at")
    search_fields = ("name", "slug")
    # What its managers decide is changed on its own page, which knows what the present model offers.
    fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)
