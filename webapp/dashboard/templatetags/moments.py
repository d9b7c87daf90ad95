"""Template filter for times, which pages show in the reader's own time zone."""

from datetime import date, datetime
from functools import lru_cache

from django import template
from django.utils import dateformat, timezone
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()


@register.filter
def moment(value: datetime | None, exactly: str = "") -> SafeString | str:
    """A time in the server's time zone, with the zone's name. ``times.js`` converts it to the reader's time zone.

    Args:
        value: the time.
        exactly: ``seconds`` to show seconds too.
    """
    if value is None:
        return ""
    local = timezone.localtime(value)
    clock = local.strftime("%H:%M:%S %Z" if exactly else "%H:%M %Z")
    day = _day(local.date(), get_format("DATE_FORMAT"), get_language())
    return format_html('<time class="moment {}" datetime="{}">{}, {}</time>', exactly, local.isoformat(), day, clock)


@lru_cache(1000)
def _day(day: date, shape: str, language: str) -> str:
    """A day in a language. Cached, because Django formats it letter by letter and a page has few different days."""
    return dateformat.format(day, shape)
