"""Template filters for text in allauth's own templates."""

import re

from django import template
from django.template.defaultfilters import stringfilter

register = template.Library()


@register.filter(is_safe=True)
@stringfilter
def sentence_case(text: str) -> str:
    """Put a heading in sentence case, as on other pages: "Change Password" becomes "Change password"; "API" stays."""
    return re.sub(r"(?<=[\s-])[A-Z](?=[a-z]+\b)", lambda match: match[0].lower(), text.strip())
