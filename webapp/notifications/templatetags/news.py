"""The number beside the bell, and events in words."""

from typing import Any

from django import template

from webapp.notifications.models import Event, News

register = template.Library()

#: More are not counted.
MOST = 99


@register.simple_tag(takes_context=True)
def unread_news(context: Any) -> str:
    """How many of a person's news are not read, as a text; empty where there are none."""
    rows = News.objects.filter(person=context["request"].user, read_at=None).order_by()
    unread = len(rows.values_list("pk")[: MOST + 1])
    return f"{MOST}+" if unread > MOST else str(unread or "")


@register.filter
def event(value: str) -> str:
    return str(Event(value).label) if value in Event.values else value
