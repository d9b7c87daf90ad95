"""Template filters that draw the scale of a score."""

from django import template

from webapp.studies.models import Reading

register = template.Library()

#: Width of the scale's drawing, in its own units.
SCALE = 400


@register.filter
def on_scale(probability: float) -> str:
    """A probability's position on the scale."""
    return f"{probability * SCALE:.1f}"


@register.filter
def on_scale_text(probability: float) -> str:
    """The centre of a label on the scale, so that the label stays inside the drawing."""
    return f"{min(max(probability * SCALE, 55), SCALE - 55):.1f}"


@register.filter
def beyond(probability: float) -> str:
    """The width of the scale from a probability to its end."""
    return f"{(1 - probability) * SCALE:.1f}"


@register.filter
def unclear_width(reading: Reading) -> str:
    """The width of the unclear part of the scale, between negative and positive."""
    return f"{(reading.positive_from - reading.unclear_from) * SCALE:.1f}"
