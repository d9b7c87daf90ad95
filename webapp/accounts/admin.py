"""Administrators see which API tokens there are, and revoke them, and make links to set a new password."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from webapp.accounts import models
from webapp.accounts.pages import SignOut
from webapp.accounts.passwords import reset_link

# A single way to sign in, with the second factor and the lockout, and a single way to sign out.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.logout = SignOut.as_view()  # type: ignore[method-assign]
admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):
    readonly_fields = ("last_login", "date_joined")
    actions = ("make_password_links",)

    @admin.action(description=_("Make one-time links to set a new password"), permissions=["change"])
    def make_password_links(self, request: HttpRequest, users: "QuerySet[User]") -> HttpResponse | None:
        if users.filter(is_superuser=True).exists() and not request.user.is_superuser:
            self.message_user(request, _("Only superusers make links for superusers."), messages.ERROR)
            return None
        links = [(user.get_username(), reset_link(user)) for user in users.filter(is_active=True)]
        context = {**self.admin_site.each_context(request), "title": _("Links to set a new password"), "links": links}
        response = render(request, "admin/password_links.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response


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
