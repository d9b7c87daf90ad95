"""Moments, which pages show by the reader's own clock."""

from datetime import datetime

from django import template
from django.utils import dateformat, timezone
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

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
    shape = f"{get_format('DATE_FORMAT')}, {'H:i:s T' if exactly else 'H:i T'}"
    text = dateformat.format(here, shape)
    return format_html('<time class="moment {}" datetime="{}">{}</time>', exactly, here.isoformat(), text)
