"""Template filters that name priorities and states."""

from django import template
from django.utils.translation import gettext as _

from webapp.queues.figures import RUNNING
from webapp.studies.choices import Priority
from webapp.studies.models import Pause

register = template.Library()


@register.filter
def priority_in_words(value: str) -> str:
    return str(Priority(value).label).lower()


@register.filter
def state_in_words(value: str) -> str:
    """Say whether a queue or department runs, is paused or takes no new images."""
    return _("running") if value == RUNNING else str(Pause.Kind(value).label)
