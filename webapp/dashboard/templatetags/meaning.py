"""Template tag that explains what an answer means in a department, in words and as a picture of 100 children."""

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

#: Number of children in a row of the picture, and the width and height of each.
IN_A_ROW, WIDE, HIGH = 20, 20, 24
#: Seconds for which a bundle's figures are cached. They change only when its workers report new ones.
CACHE_SECONDS = 300


@register.inclusion_tag("dashboard/_meaning.html")
def meaning(image: Image) -> dict[str, Any]:
    """What a model's answer means; empty if a verdict has replaced it, if it is not reliable, or if the model was never
    measured.
    """
    result = image.result
    if image.verdict or result is None or not result.is_reliable:
        return {}
    local = prevalence.of(image.department)
    found = meanings.of_answer(_answers(result), result.group, local.share)
    if found is None:
        return {}
    sick = round(100 * found.share)
    return {
        "meaning": found,
        "sentence": _sentence(found, image.department),
        "limits": f"{_of_prevalence(local, image.department)} {_of_measuring(found, result, image.department)}",
        "sick": sick,
        # Where the children with pneumonia end: at x, in the row from y to below.
        "x": sick % IN_A_ROW * WIDE,
        "y": sick // IN_A_ROW * HIGH,
        "below": (sick // IN_A_ROW + 1) * HIGH,
    }


def _answers(result: Reading) -> dict[str, Any]:
    """How often each answer is given; on the department's own images, if the result was calibrated with these."""
    if result.calibration:
        return dict(result.calibration["answers"])
    answers: dict[str, Any] | None = caches["process"].get_or_set(
        f"answers:{result.bundle}", partial(_of_bundle, result.bundle), CACHE_SECONDS
    )
    return answers or {}


def _of_bundle(name: str) -> dict[str, Any]:
    bundle = Bundle.objects.filter(name=name).first()
    return bundle.answers if bundle else {}


def _of_100(share: float) -> str:
    """A share as a number of 100 children, never 0 or 100."""
    number = round(100 * share)
    return {0: "<1", 100: ">99"}.get(number, str(number))


def _sentence(found: meanings.Meaning, department: Department | None) -> str:
    """A sentence saying how many of 100 children have pneumonia. It never says 0 or 100."""
    number = round(100 * found.share)
    if number == 0:
        sentence = _("Of 100 children with this answer%(here)s, fewer than 1 has pneumonia%(range)s.")
    elif number == 100:
        sentence = _("Of 100 children with this answer%(here)s, more than 99 have pneumonia%(range)s.")
    else:
        sentence = ngettext(
            "Of 100 children with this answer%(here)s, about %(number)s has pneumonia%(range)s.",
            "Of 100 children with this answer%(here)s, about %(number)s have pneumonia%(range)s.",
            number,
        )
    place = _(" in %(department)s") % {"department": department.name} if department else ""
    low, high = _of_100(found.low), _of_100(found.high)
    span = _(" (%(low)s to %(high)s)") % {"low": low, "high": high} if low != high else ""
    return sentence % {"here": place, "number": number, "range": span}


def _of_prevalence(local: prevalence.Prevalence, department: Department | None) -> str:
    """A sentence saying how frequent pneumonia is among the children, and how that is known."""
    if local.verdicts:
        sentence = _(
            "In %(department)s about %(of_100)s of 100 X-rayed children have pneumonia, by the readers' verdicts on "
            "%(verdicts)s of its latest images."
        )
    elif local.chosen:
        sentence = _(
            "In %(department)s %(of_100)s of 100 X-rayed children have pneumonia, as its managers have set it."
        )
    else:
        sentence = _(
            "This assumes that %(of_100)s of 100 X-rayed children have pneumonia. If it is rarer, fewer children with "
            "this answer have it."
        )
    of_100 = round(100 * local.share) or 1
    name = department.name if department else ""
    return sentence % {"of_100": of_100, "department": name, "verdicts": local.verdicts}


def _of_measuring(found: meanings.Meaning, result: Reading, department: Department | None) -> str:
    """Sentences saying on which X-rays the model was measured, and that it is wrong more often on others."""
    if result.calibration:
        sentence = _(
            "By %(images)s X-rays of %(department)s with readers' verdicts, on which it was calibrated; with other "
            "children it may be wrong more often."
        )
    else:
        sentence = _(
            "The model was measured on %(images)s X-rays from the hospital where it was trained. Elsewhere it is wrong "
            "more often. Its score is not such a number: a higher score only means stronger signs of pneumonia."
        )
    return sentence % {"images": found.images, "department": department.name if department else ""}
