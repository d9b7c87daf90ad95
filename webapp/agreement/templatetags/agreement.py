"""Numbers with their intervals, in words."""

from datetime import date

from django import template
from django.utils.dateformat import format as in_words
from django.utils.translation import gettext

from webapp.agreement.features import BY_NAME
from webapp.statistics import Estimate

register = template.Library()


@register.filter
def whole_percent(value: float) -> str:
    """A share as a whole number of a hundred."""
    return f"{round(100 * value)} %"


@register.filter
def interval(found: Estimate, kind: str = "share") -> str:
    """The 95 % interval, of a share or, with ``kappa``, of a number between -1 and 1."""
    if kind == "kappa":
        low, high = f"{found.low:.2f}", f"{found.high:.2f}"
    else:
        low, high = f"{100 * found.low:.0f}", f"{100 * found.high:.0f}"
    return gettext("%(low)s to %(high)s") % {"low": low, "high": high}


@register.filter
def about(name: str) -> str:
    """What an alert is about."""
    if name in BY_NAME:
        return str(BY_NAME[name].title)
    return gettext("Sensitivity") if name == "sensitivity" else gettext("the model’s answers")


@register.filter
def months(found: list[date]) -> str:
    """The first and the last of some months."""
    names = [in_words(month, "M Y") for month in (found[0], found[-1])] if found else []
    return " – ".join(dict.fromkeys(names))
