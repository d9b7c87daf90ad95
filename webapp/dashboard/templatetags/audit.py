"""Template tags that describe audit entries."""

from collections.abc import Mapping

from django import template
from django.apps import apps
from django.utils.translation import gettext, gettext_noop

from webapp.audit import people
from webapp.audit.models import Action, Entry

register = template.Library()

#: The names of models, as in their Meta classes.
KINDS = (
    gettext_noop("image"), gettext_noop("images"), gettext_noop("study"), gettext_noop("studies"),
    gettext_noop("patient"), gettext_noop("patients"), gettext_noop("department"), gettext_noop("departments"),
    gettext_noop("reading"), gettext_noop("readings"), gettext_noop("archive"), gettext_noop("archives"),
    gettext_noop("membership"), gettext_noop("memberships"), gettext_noop("invitation"),
    gettext_noop("invitations"), gettext_noop("API token"), gettext_noop("API tokens"), gettext_noop("review"),
    gettext_noop("reviews"), gettext_noop("share"), gettext_noop("shares"), gettext_noop("webhook"),
    gettext_noop("webhooks"), gettext_noop("entry"), gettext_noop("entries"), gettext_noop("saved search"),
    gettext_noop("saved searches"), gettext_noop("delivery"), gettext_noop("deliveries"), gettext_noop("sample"),
    gettext_noop("samples"), gettext_noop("monthly count"), gettext_noop("monthly counts"), gettext_noop("destination"),
    gettext_noop("destinations"), gettext_noop("peer"), gettext_noop("peers"), gettext_noop("rule"),
    gettext_noop("rules"), gettext_noop("search"), gettext_noop("searches"), gettext_noop("retrieval"),
    gettext_noop("retrievals"), gettext_noop("reconciliation"), gettext_noop("pause"), gettext_noop("pauses"),
)  # fmt: skip


@register.filter
def action(entry: Entry) -> str:
    """The action in words; an unknown one of a later release is shown unchanged."""
    return str(Action(entry.action).label).lower() if entry.action in Action.values else entry.action


@register.filter
def kind(entry: Entry) -> str:
    """The name of the object's model; its plural for a list."""
    try:
        meta = apps.get_model(entry.kind)._meta
    except (LookupError, ValueError):
        return entry.kind
    return gettext(str(meta.verbose_name if entry.object_id else meta.verbose_name_plural))


@register.filter
def user(entry: Entry, users: Mapping[int, str]) -> str:
    """The name of the user whom an action changed; empty for other objects."""
    is_user = entry.kind == "auth.user" and entry.object_id.isdecimal()
    return users.get(int(entry.object_id), "") if is_user else ""


@register.filter
def details(entry: Entry, users: Mapping[int, str]) -> str:
    """The details, for example "fields: priority, name". Known ids of users are replaced by names."""
    shown = people.details(entry)
    shown |= {name: users.get(shown[name], shown[name]) for name in people.USERS if name in shown}
    parts = ((name, value if isinstance(value, list) else [value]) for name, value in shown.items())
    return " · ".join(f"{name}: {', '.join(map(str, values))}" for name, values in parts if values)
