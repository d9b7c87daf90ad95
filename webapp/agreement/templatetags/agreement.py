"""Template filters for numbers, their intervals, and months."""

from datetime import date

from django import template
from django.utils.dateformat import format as in_words
from django.utils.translation import gettext

from webapp.agreement.features import BY_NAME
from webapp.statistics import Estimate

register = template.Library()


@register.filter
def whole_percent(value: float) -> str:
    """A share as a whole percentage."""
    return f"{round(100 * value)} %"


@register.filter
def interval(estimate: Estimate, kind: str = "share") -> str:
    """The 95 % interval of a share or, for the kind ``kappa``, of a number between -1 and 1."""
    if kind == "kappa":
        low, high = f"{estimate.low:.2f}", f"{estimate.high:.2f}"
    else:
        low, high = f"{100 * estimate.low:.0f}", f"{100 * estimate.high:.0f}"
    return gettext("%(low)s to %(high)s") % {"low": low, "high": high}


@register.filter
def about(name: str) -> str:
    """The title of an alert's subject."""
    if name in BY_NAME:
        return str(BY_NAME[name].title)
    return gettext("Sensitivity") if name == "sensitivity" else gettext("the model’s answers")


@register.filter
def months(dates: list[date]) -> str:
    """The first and the last of these months."""
    names = [in_words(month, "M Y") for month in (dates[0], dates[-1])] if dates else []
    return " – ".join(dict.fromkeys(names))
