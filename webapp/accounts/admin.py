"""Admin pages on which administrators list and revoke API tokens."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import HttpRequest

from webapp.accounts import models
from webapp.accounts.pages import SignOut

# The admin site uses the same sign-in, with second factor and lockout, and the same sign-out as the other pages.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.logout = SignOut.as_view()  # type: ignore[method-assign]


@admin.register(models.Token)
class TokenAdmin(admin.ModelAdmin):
    list_display = ("__str__", "user", "created_at", "expires_at", "last_used_on")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    ordering = ("-created_at", "-pk")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
