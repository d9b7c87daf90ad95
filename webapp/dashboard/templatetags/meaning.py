"""What an answer means where it is given, in words and as a picture of 100 children."""

from functools import partial
from typing import Any

from django import template
from django.core.cache import caches
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.departments.models import Department
from webapp.reviews import prevalence
from webapp.studies import meaning as meanings
from webapp.studies.models import Bundle, Image, Reading

register = template.Library()

#: Children in a row of the picture, and what each takes up.
IN_A_ROW, WIDE, HIGH = 20, 20, 24
#: Seconds that a bundle's figures are kept; they change when its workers report others.
KEPT = 300


@register.inclusion_tag("dashboard/_meaning.html")
def meaning(image: Image) -> dict[str, Any]:
    """What a model's answer means; nothing where a verdict has come in its place, where it is not to be relied on, or
    where the model was not measured.
    """
    result = image.result
    if image.verdict or result is None or not result.is_reliable:
        return {}
    here = prevalence.of(image.department)
    found = meanings.of_answer(_answers(result), result.group, here.share)
    if found is None:
        return {}
    about, low, high = (round(100 * share) for share in (found.share, found.low, found.high))
    return {
        "meaning": found,
        "prevalence": here,
        "of_100": round(100 * here.share) or 1,
        "department": image.department,
        "calibrated": bool(result.calibration),
        "sentence": _sentence(found.share, low, high, image.department),
        "sick": about,
        # Where the sick ones end: in the row from y to below, at x.
        "x": about % IN_A_ROW * WIDE,
        "y": about // IN_A_ROW * HIGH,
        "below": (about // IN_A_ROW + 1) * HIGH,
    }


def _answers(result: Reading) -> dict[str, Any]:
    """How often each answer is given: on the department's own images where these have calibrated the result."""
    if result.calibration:
        return dict(result.calibration["answers"])
    answers: dict[str, Any] | None = caches["process"].get_or_set(
        f"answers:{result.bundle}", partial(_of_bundle, result.bundle), KEPT
    )
    return answers or {}


def _of_bundle(name: str) -> dict[str, Any]:
    bundle = Bundle.objects.filter(name=name).first()
    return bundle.answers if bundle else {}


def _sentence(share: float, low: int, high: int, department: Department | None) -> str:
    """How many of a hundred have pneumonia, never none nor all."""
    number = round(100 * share)
    if share < 0.005:
        said = _("Of 100 children with this answer%(here)s, fewer than 1 has pneumonia%(range)s.")
    elif share > 0.995:
        said = _("Of 100 children with this answer%(here)s, more than 99 have pneumonia%(range)s.")
    else:
        said = ngettext(
            "Of 100 children with this answer%(here)s, about %(number)s has pneumonia%(range)s.",
            "Of 100 children with this answer%(here)s, about %(number)s have pneumonia%(range)s.",
            number,
        )
    here = _(" in %(department)s") % {"department": department.name} if department else ""
    span = _(" (%(low)s to %(high)s)") % {"low": low, "high": high} if low < high else ""
    return said % {"here": here, "number": number, "range": span}
