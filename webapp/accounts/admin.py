"""Administrators see which API tokens there are, and revoke them. The tokens themselves are known to nobody."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from webapp.accounts import models


@admin.register(models.Token)
class TokenAdmin(admin.ModelAdmin):
    list_display = ("__str__", "user", "created_at", "expires_at")
    search_fields = ("name", "user__username")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
