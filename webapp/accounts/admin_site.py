"""Django's admin site that records every view and change of a registered model in the audit."""

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

#: Django's scripts, except those for prepopulated fields: no model uses these, and they are larger than all others.
SCRIPTS = ("vendor/jquery/jquery.min.js", "jquery.init.js", "core.js", "admin/RelatedObjectLookups.js", "actions.js")


class Recorded(admin.ModelAdmin):
    """Records the actions of a model's admin in the audit, in the transaction in which Django logs changes itself."""

    # Each row of a list costs Django more than a millisecond.
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
        # A ModelAdmin sets this attribute if a service already records its deletions.
        if not getattr(self, "deletions_are_recorded", False):
            record_each(identify(request), Action.DELETE, queryset, admin=True)
        return super().log_deletions(request, queryset)


class RecordedSite(admin.AdminSite):
    """An admin site that adds :class:`Recorded` to each registered model's admin."""

    site_header = site_title = "PneumoQueue"
    index_title = "Administration"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Translate the names of apps and models, which are in English, to the page's language."""
        app_list = super().get_app_list(request, app_label)
        for app in app_list:
            app["name"] = gettext(str(app["name"]))
            for model in app["models"]:
                model["name"] = gettext(str(model["name"]))
        return app_list

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        base = admin_class or admin.ModelAdmin
        super().register(model_or_iterable, type(base.__name__, (Recorded, base), {}), **options)


def _fields(message: Any) -> list[str]:
    """The names of the changed fields in Django's message. The rest is dropped, because it contains texts of rows."""
    if not isinstance(message, list):
        return []
    changes = [change.get("changed", change.get("added", change.get("deleted"))) for change in message]
    fields = [field for change in changes if change for field in (change.get("fields") or [change.get("name")])]
    return sorted({str(field) for field in fields if field})
