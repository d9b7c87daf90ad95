"""Template tags that describe audit entries."""

import json

from django import template
from django.apps import apps

from webapp.audit.models import Action, Entry

register = template.Library()


@register.filter
def action(entry: Entry) -> str:
    """The action in words; an unknown one of a later release is shown unchanged."""
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
    """The details, for example "fields: priority, name"."""
    found = json.loads(entry.details) if entry.details else {}
    parts = ((name, value if isinstance(value, list) else [value]) for name, value in found.items())
    return " · ".join(f"{name}: {', '.join(map(str, values))}" for name, values in parts if values)
