"""Template tags that say when uploads are deleted."""

from datetime import datetime

from django import template
from django.conf import settings

from webapp.retention import policy
from webapp.studies.ownership import Owned

register = template.Library()


@register.filter
def delete_after(owned: Owned) -> datetime | None:
    """The time after which the purge may delete an upload; None if it is kept."""
    return policy.delete_after(owned)


@register.simple_tag
def guest_hours() -> int:
    """Hours after which a guest's uploads are deleted; 0 if they are kept."""
    return int(settings.GUEST_RETENTION_HOURS)
