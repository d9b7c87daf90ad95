"""Django's admin site, with every view and change of a registered model recorded in the audit."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from webapp.accounts.identity import identify
from webapp.audit.models import Action
from webapp.audit.services import record, record_each

#: Django's own without those that make short names of others, which no model here has: they weigh more than all else.
SCRIPTS = ("vendor/jquery/jquery.min.js", "jquery.init.js", "core.js", "admin/RelatedObjectLookups.js", "actions.js")


class Recorded(admin.ModelAdmin):
    """Records the actions of a model's admin, where Django logs changes itself, in the same transaction."""

    # Each row of a list takes Django more than a millisecond.
    list_per_page = 25

    @property
    def media(self) -> forms.Media:
        return forms.Media(js=[f"admin/js/{path}" for path in SCRIPTS])

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().changelist_view(request, *args, **kwargs)
        if request.method == "GET":
            record(identify(request), Action.LIST, self.model, admin=True)
        return response

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        response = super().change_view(request, object_id, *args, **kwargs)
        if request.method == "GET" and (found := self.get_object(request, unquote(object_id))):
            record(identify(request), Action.VIEW, found, admin=True)
        return response

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        record(identify(request), Action.CREATE, obj, admin=True)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        record(identify(request), Action.CHANGE, obj, admin=True, fields=_fields(message))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        # A ModelAdmin marks that a service records its deletions.
        if not getattr(self, "deletions_are_recorded", False):
            record_each(identify(request), Action.DELETE, queryset, admin=True)
        return super().log_deletions(request, queryset)


class RecordedSite(admin.AdminSite):
    """The site that registers each model's admin together with :class:`Recorded`."""

    site_header = site_title = "PneumoQueue"
    index_title = "Administration"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The lists by their names in the page's language, which models have in English."""
        found = super().get_app_list(request, app_label)
        for app in found:
            app["name"] = gettext(str(app["name"]))
            for model in app["models"]:
                model["name"] = gettext(str(model["name"]))
        return found

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        given = admin_class or admin.ModelAdmin
        super().register(model_or_iterable, type(given.__name__, (Recorded, given), {}), **options)


def _fields(message: Any) -> list[str]:
    """The names of the fields that Django found changed; of its message, which names rows by their texts, no more."""
    if not isinstance(message, list):
        return []
    changes = [change.get("changed", change.get("added", change.get("deleted"))) for change in message]
    found = [field for change in changes if change for field in (change.get("fields") or [change.get("name")])]
    return sorted({str(field) for field in found if field})
