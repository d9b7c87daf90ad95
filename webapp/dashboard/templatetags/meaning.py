"""What an answer means where it is given, in words and as a picture of 100 children."""

from typing import Any

from django import template

from webapp.reviews import prevalence
from webapp.studies import meaning as meanings
from webapp.studies.models import Bundle, Image

register = template.Library()

#: Children in a row of the picture, and what each takes up.
IN_A_ROW, WIDE, HIGH = 20, 20, 24


@register.inclusion_tag("dashboard/_meaning.html")
def meaning(image: Image) -> dict[str, Any]:
    """What a model's answer means; nothing where a verdict has come in its place, where it is not to be relied on, or
    where the model was not measured.
    """
    result = image.result
    if image.verdict or result is None or not result.is_reliable:
        return {}
    bundle = Bundle.objects.filter(name=result.bundle).first()
    here = prevalence.of(image.department)
    found = meanings.of_answer(bundle.answers, result.group, here.share) if bundle else None
    if found is None:
        return {}
    about, low, high = (round(100 * share) for share in (found.share, found.low, found.high))
    return {
        "meaning": found,
        "prevalence": here,
        "of_100": round(100 * here.share) or 1,
        "department": image.department,
        "about": _of_100(found.share),
        "have": "has" if found.share < 0.015 else "have",
        "range": f"{low} to {high}" if low < high else "",
        "sick": about,
        "children": [(number % IN_A_ROW * WIDE, number // IN_A_ROW * HIGH, number < about) for number in range(100)],
    }


def _of_100(share: float) -> str:
    """A share of a hundred, never none nor all."""
    if share < 0.005:
        return "fewer than 1"
    return "more than 99" if share > 0.995 else f"about {round(100 * share)}"
