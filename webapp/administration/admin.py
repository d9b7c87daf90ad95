"""Admin pages on which administrators change and delete accounts, and create password links. One administrator must
always remain.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from webapp.accounts.identity import identify
from webapp.accounts.passwords import reset_link
from webapp.departments import members, permissions
from webapp.refusals import Refused
from webapp.studies.services import person_deletion

admin.site.unregister([User, Group])


def _require(administrators: "QuerySet[User]") -> None:
    if not administrators.exists():
        raise Refused("last_administrator", members.LAST_ADMINISTRATOR)


class KeepsAdministrators(admin.ModelAdmin):
    """Refuses changes that would leave no administrator who can sign in, which rolls back the admin's transaction."""

    def save_related(self, *args: Any) -> None:
        super().save_related(*args)
        _require(permissions.administrators())


@admin.register(Group)
class RoleAdmin(KeepsAdministrators, GroupAdmin):
    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        self.delete_queryset(request, Group.objects.filter(pk=obj.pk))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Group]") -> None:
        super().delete_queryset(request, queryset)
        _require(permissions.administrators())


@admin.register(User)
class PersonAdmin(KeepsAdministrators, UserAdmin):
    readonly_fields = ("last_login", "date_joined")
    actions = ("make_password_links",)
    #: The service records them, together with the memberships that end.
    deletions_are_recorded = True

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, dict[str, int], set[Any], list[Any]]:
        """Raise Refused (``last_administrator`` or ``last_manager``) before the page asks for confirmation."""
        _require(permissions.administrators().exclude(pk__in=[user.pk for user in objs]))
        if any(members.managed_alone(user).exists() for user in objs):
            raise Refused("last_manager", members.LAST_MANAGER)
        return super().get_deleted_objects(objs, request)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        person_deletion.delete_person(obj, identify(request))

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[User]") -> None:
        for user in queryset:
            self.delete_model(request, user)

    @admin.action(description=_("Make one-time links to set a new password"), permissions=["change"])
    def make_password_links(self, request: HttpRequest, users: "QuerySet[User]") -> HttpResponse | None:
        if users.filter(is_superuser=True).exists() and not request.user.is_superuser:
            self.message_user(request, _("Only superusers can create links for superusers."), messages.ERROR)
            return None
        links = [(user.get_username(), reset_link(user)) for user in users.filter(is_active=True)]
        context = {**self.admin_site.each_context(request), "title": _("Links to set a new password"), "links": links}
        response = render(request, "admin/password_links.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response
