"""Template tags: the number of unread news, and the names of events."""

from typing import Any

from django import template

from webapp.notifications import access
from webapp.notifications.models import WEBHOOK_EVENTS

register = template.Library()

#: Largest number that is shown; beyond it, news are not counted.
MAX_COUNTED = 99


@register.simple_tag(takes_context=True)
def unread_news(context: Any) -> str:
    """The number of the user's unread news as text; empty if there is none."""
    rows = access.news(context["request"].user).filter(read_at=None).order_by()
    unread = len(rows.values_list("pk")[: MAX_COUNTED + 1])
    return f"{MAX_COUNTED}+" if unread > MAX_COUNTED else str(unread or "")


@register.filter
def event(value: str) -> str:
    return str(WEBHOOK_EVENTS.get(value, value))
