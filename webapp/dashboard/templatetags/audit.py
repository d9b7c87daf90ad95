"""The audit's entries in words."""

import json

from django import template
from django.apps import apps

from webapp.audit.models import Action, Entry

register = template.Library()


@register.filter
def action(entry: Entry) -> str:
    """What was done; one that a later release knows is shown as it is."""
    return str(Action(entry.action).label).lower() if entry.action in Action.values else entry.action


@register.filter
def kind(entry: Entry) -> str:
    """The object's model; of a list its plural."""
    try:
        meta = apps.get_model(entry.kind)._meta
    except (LookupError, ValueError):
        return entry.kind
    return str(meta.verbose_name if entry.object_id else meta.verbose_name_plural)


@register.filter
def details(entry: Entry) -> str:
    """Such as "fields: priority, name"."""
    found = json.loads(entry.details) if entry.details else {}
    parts = ((name, value if isinstance(value, list) else [value]) for name, value in found.items())
    return " · ".join(f"{name}: {', '.join(map(str, values))}" for name, values in parts if values)
