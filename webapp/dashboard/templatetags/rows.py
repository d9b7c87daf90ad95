"""Template filters for rows of lists. Django's own tags are slower: they reverse a route and parse it for each row."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext

from webapp import addresses
from webapp.dashboard.templatetags.results import score, tone_of, words_of
from webapp.studies.models import Image

register = template.Library()


@dataclass(frozen=True)
class Answer:
    """An image's result in a row.

    Attributes:
        tone: the CSS class for its colour.
        words: the final verdict or, without one, the model's answer.
        probability: the model's probability in percent; empty if it must not be used.
    """

    tone: str
    words: str
    probability: str


@register.filter
def answer(image: Image) -> Answer:
    """An image's result for a row. The reading is looked up only once."""
    reading = image.result
    shown = score(reading) if reading and reading.is_usable and reading.probability is not None else ""
    return Answer(tone_of(image, reading), words_of(image, reading), shown)


@register.filter
def waits(since: datetime) -> str:
    """How long an image has been waiting."""
    return gettext("waits %(time)s") % {"time": timesince(since)}


@register.filter
def to_choose(name: str) -> str:
    """The label of a row's checkbox."""
    return gettext("Choose %(name)s") % {"name": name}


@register.filter
def address(pk: UUID, route: str) -> str:
    """The URL of a row, for a route whose only argument is its key."""
    return addresses.address(route, pk)


@register.filter
def page(image: Image, token: str) -> str:
    """The URL of an image's page; with a token, of the page that the shared link opens."""
    return reverse("shared-link-image", args=[token, image.pk]) if token else image.get_absolute_url()


@register.filter
def preview(image: Image, token: str) -> str:
    """The URL of an image's preview; with a token, of the preview that the shared link opens."""
    return reverse("shared-link-preview", args=[token, image.pk]) if token else address(image.pk, "api-image-preview")
