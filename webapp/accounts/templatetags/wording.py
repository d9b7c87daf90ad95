"""Template tags for the words of allauth's own templates."""

import re

from django import template
from django.template.defaultfilters import stringfilter

register = template.Library()


@register.filter(is_safe=True)
@stringfilter
def sentence_case(text: str) -> str:
    """A heading as the other pages have them: "Change Password" becomes "Change password"; "API" stays."""
    return re.sub(r"(?<=[\s-])[A-Z](?=[a-z]+\b)", lambda found: found[0].lower(), text.strip())
