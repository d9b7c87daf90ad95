"""Moments, which pages show by the reader's own clock."""

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
    """A moment by the server's clock, with its time zone's name; ``times.js`` makes the reader's own of it.

    Args:
        value: a moment.
        exactly: ``seconds`` for those too.
    """
    if value is None:
        return ""
    here = timezone.localtime(value)
    clock = here.strftime("%H:%M:%S %Z" if exactly else "%H:%M %Z")
    day = _day(here.date(), get_format("DATE_FORMAT"), get_language())
    return format_html('<time class="moment {}" datetime="{}">{}, {}</time>', exactly, here.isoformat(), day, clock)


@lru_cache(1000)
def _day(day: date, shape: str, language: str) -> str:
    """A day in a language. Django writes it letter by letter, and most moments of a page are of a few days."""
    return dateformat.format(day, shape)
